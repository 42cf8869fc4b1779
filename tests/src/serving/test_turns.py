"""A thread asks for short turns."""

import os
import platform
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headrace.serving.server import take_short_turns

TURN = "se.slice"


def turn():
    """Nanoseconds that a turn of this thread lasts."""
    lines = Path("/proc/thread-self/sched").read_text().splitlines()
    return next(line.rpartition(":")[2].strip() for line in lines if TURN in line)


def has_turns():
    """Whether this is Linux 6.12 or newer, and tells how long turns are."""
    file = Path("/proc/self/sched")
    if sys.platform != "linux" or not file.exists() or TURN not in file.read_text():
        return False
    major, minor = platform.release().split(".")[:2]
    return (int(major), int(minor)) >= (6, 12)


@pytest.mark.skipif(not has_turns(), reason="this kernel has no turns to ask for")
def test_a_thread_asks_for_short_turns_for_itself_alone():
    usual, own = turn(), os.getpriority(os.PRIO_PROCESS, 0)

    def seen():
        take_short_turns()
        with ThreadPoolExecutor(1) as other:
            after = other.submit(turn).result()
        return turn(), after, os.getpriority(os.PRIO_PROCESS, 0)

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(seen).result() == ("100000", usual, own)
    assert turn() == usual
