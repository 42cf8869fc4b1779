"""A run of Headrace that is killed at some moment of its training."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.bench import HEADRACE, ROOT, read_answer
from tests.benchmarks.measure import end_group

BEGINS = re.compile(r"  train: |  epoch \d+/\d+ ")
LIMIT_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment in training that a busy machine does not shift.

    Attributes:
        epochs: that are done.
        seconds: since then.
    """

    epochs: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Ran:
    """A run, to its end or to its kill.

    Attributes:
        wall: seconds.
        said: seconds from its start until training began, and until each epoch ended.
    """

    exit_code: int
    wall: float
    said: list[float]
    stdout: str
    stderr: str

    def answer(self) -> dict[str, Any]:
        """What it answered; raises Unavailable."""
        return read_answer(self.exit_code, self.stdout, self.stderr)


def run_until(
    command: list[str], environment: dict[str, str], kill_at: Moment | None = None
) -> Ran:
    """Run a command of Headrace, and kill its group at some moment of training."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [HEADRACE, *command],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    said: list[float] = []
    lines: list[str] = []
    timers = [threading.Timer(LIMIT_SECONDS, end_group, [process])]
    timers[0].start()
    try:
        for line in process.stderr or ():
            lines.append(line)
            if not BEGINS.search(line):
                continue
            said.append(time.perf_counter() - started)
            if kill_at is not None and len(said) == kill_at.epochs + 1:
                timers.append(threading.Timer(kill_at.seconds, end_group, [process]))
                timers[-1].start()
        answer, _ = process.communicate()
    finally:
        for timer in timers:
            timer.cancel()
        end_group(process)
    wall = time.perf_counter() - started
    return Ran(process.returncode, wall, said, answer, "".join(lines))
