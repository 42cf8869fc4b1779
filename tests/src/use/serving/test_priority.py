"""Threads that step back, and one that begins at once."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headrace.use.serving.priority import NICENESS, at_low_priority, take_short_turns

TURN = "se.slice"

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux has priorities of threads"
)


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


def turn() -> str:
    """Nanoseconds that a turn of this thread lasts."""
    lines = Path("/proc/thread-self/sched").read_text().splitlines()
    return next(line.rpartition(":")[2].strip() for line in lines if TURN in line)


def has_turns() -> bool:
    file = Path("/proc/self/sched")
    return file.exists() and TURN in file.read_text()


def test_work_is_done_at_a_low_priority_and_the_own_one_stays() -> None:
    own = niceness()
    assert at_low_priority(niceness) == min(own + NICENESS, 19)
    assert niceness() == own


def test_an_error_is_raised_where_it_is_waited_for() -> None:
    with pytest.raises(ZeroDivisionError):
        at_low_priority(divmod, 1, 0)


@pytest.mark.skipif(not has_turns(), reason="this kernel has no turns to ask for")
def test_a_thread_asks_for_short_turns_for_itself_alone() -> None:
    usual = turn()

    def seen() -> tuple[str, str, int]:
        take_short_turns()
        with ThreadPoolExecutor(1) as other:
            return turn(), other.submit(turn).result(), niceness()

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(seen).result() == ("100000", usual, niceness())
    assert turn() == usual
