"""Priorities of threads: where one core does all, answers are not late for the rest."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

NICENESS = 10
_TURN_NANOSECONDS = 100_000
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}  # its number, by machine
_RESET_ON_FORK = 1

P = ParamSpec("P")
T = TypeVar("T")


def _step_back() -> None:
    if sys.platform == "linux":
        os.nice(NICENESS)  # of this thread alone


_thread = ThreadPoolExecutor(1, "low priority", _step_back)


def at_low_priority(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do some work in a thread of low priority, and wait for it.

    It must start no process, which would have that priority for good.
    """
    return _thread.submit(work, *args, **kwargs).result()


def take_short_turns() -> None:
    """Let this thread begin at once when it is woken, also while others have its core.

    Its share of the core stays. From Linux 6.12 on, a thread that asks for shorter
    turns interrupts others (``sched_runtime`` in sched_setattr(2)). Elsewhere nothing
    changes.
    """
    number = _SCHED_SETATTR.get(platform.machine())
    if sys.platform != "linux" or number is None:
        return
    if os.sched_getscheduler(0) != os.SCHED_OTHER:
        return
    niceness = os.getpriority(os.PRIO_PROCESS, 0)
    times = _TURN_NANOSECONDS, 0, 0
    form = "=IIQiIQQQ"  # size, policy, flags, niceness, priority, times
    size = struct.calcsize(form)
    wish = struct.pack(form, size, os.SCHED_OTHER, _RESET_ON_FORK, niceness, 0, *times)
    ctypes.CDLL(None).syscall(ctypes.c_long(number), 0, wish, 0)
