"""Short turns for a thread: it is not late where others share its core."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys

_TURN_NANOSECONDS = 100_000
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}  # its number, by machine
_RESET_ON_FORK = 1


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
    if niceness < 0:  # its children and other threads would lose it
        return
    times = _TURN_NANOSECONDS, 0, 0
    form = "=IIQiIQQQ"  # size, policy, flags, niceness, priority, times
    size = struct.calcsize(form)
    wish = struct.pack(form, size, os.SCHED_OTHER, _RESET_ON_FORK, niceness, 0, *times)
    ctypes.CDLL(None).syscall(ctypes.c_long(number), 0, wish, 0)
