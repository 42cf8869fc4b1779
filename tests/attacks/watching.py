"""A command run as a user would, and what it takes of the machine at most."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from dataclasses import dataclass

import psutil

_BETWEEN_SECONDS = 0.02
# Beyond it the machine itself would suffer.
_KILLED_FROM_BYTES = 4 * 10**9
_KILLED_AFTER_SECONDS = 240


@dataclass(frozen=True)
class Watched:
    """What became of a command.

    Attributes:
        code: its exit code; below 0 where a signal ended it.
        cpu_seconds: of it and of all processes that it started.
        peak_bytes: resident, of all of them together, the most at one time.
        output, errors: what it wrote.
    """

    code: int
    cpu_seconds: float
    peak_bytes: int
    output: str
    errors: str


def watch(command, folder, environment):
    """Run a command to its end, or until it takes far too much."""
    with (folder / "out").open("w+b") as out, (folder / "err").open("w+b") as err:
        process = subprocess.Popen(
            command,
            stdout=out,
            stderr=err,
            stdin=subprocess.DEVNULL,
            env=dict(environment),
            cwd=folder,
        )
        watcher = _Watcher(process)
        watcher.start()
        code = process.wait()
        watcher.join()
    texts = ((folder / name).read_text(errors="replace") for name in ("out", "err"))
    return Watched(code, sum(watcher.cpu.values()), watcher.peak, *texts)


class _Watcher(threading.Thread):
    """Looks at a process and at those that it started, until it has ended."""

    def __init__(self, process):
        super().__init__(daemon=True)
        self.peak = 0
        self.cpu = {}
        self._command = process
        self._process = psutil.Process(process.pid)

    def run(self):
        started = time.monotonic()
        while self._command.returncode is None:
            total = sum(self._sizes())
            self.peak = max(self.peak, total)
            is_late = time.monotonic() - started > _KILLED_AFTER_SECONDS
            if total > _KILLED_FROM_BYTES or is_late:
                for one in self._family():
                    with contextlib.suppress(psutil.Error):
                        one.kill()
            time.sleep(_BETWEEN_SECONDS)

    def _family(self):
        try:
            return [*self._process.children(recursive=True), self._process]
        except psutil.Error:
            return []

    def _sizes(self):
        for one in self._family():
            with contextlib.suppress(psutil.Error):
                times = one.cpu_times()
                self.cpu[one.pid] = times.user + times.system
                yield one.memory_info().rss
