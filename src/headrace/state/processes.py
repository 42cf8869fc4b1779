"""Identities of processes, so that another process can tell whether they still run.

The condition of a process on another machine is ``unknown``.
"""

from __future__ import annotations

import contextlib
import hashlib
import socket
import sys
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import psutil

_FIRST_NAMESPACE = "pid:[4026531836]"  # of a machine's own processes, on every Linux

Condition = Literal["running", "stopped", "gone", "unknown"]


class Process(NamedTuple):
    """The identity of one process; it is never reused.

    Attributes:
        host: the machine and the container in which the process id is valid.
        pid: the process id.
        started: the machine's boot and the time since; independent of the clock.
    """

    host: str
    pid: int
    started: str

    def __str__(self) -> str:
        return f"{self.host}/{self.pid}/{self.started}"

    @classmethod
    def parse(cls, text: str) -> Process | None:
        """The process whose ``str`` this is; None for any other text."""
        host, _, rest = text.rpartition("/")
        host, _, pid = host.rpartition("/")
        return cls(host, int(pid), rest) if host and pid.isdigit() else None

    @property
    def condition(self) -> Condition:
        """Its condition now; ``unknown`` for a process on another host."""
        if self.host != this_host():
            return "unknown"
        started, condition = _look_up(self.pid)
        return condition if started == self.started else "gone"


def this_process() -> Process:
    """The current process."""
    pid = psutil.Process().pid
    return Process(this_host(), pid, _look_up(pid)[0])


@cache
def this_host() -> str:
    """This machine's name and, after ``#``, what tells it from others of that name.

    These are a digest of the machine's id, and the process namespace of a container.
    """
    marks = []
    with contextlib.suppress(OSError):
        machine = Path("/etc/machine-id").read_bytes().strip()
        marks += [hashlib.sha256(machine).hexdigest()[:8]] if machine else []
    with contextlib.suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())
        marks += [] if namespace == _FIRST_NAMESPACE else [namespace[5:-1]]
    return "#".join(filter(None, [socket.gethostname(), "-".join(marks)]))


def _look_up(pid: int) -> tuple[str, Condition]:
    """When a process of this host started, and its condition."""
    if sys.platform != "linux":
        try:
            process = psutil.Process(pid)
            started, status = f"{process.create_time():.2f}", process.status()
        except psutil.NoSuchProcess:
            return "", "gone"
        return started, {
            psutil.STATUS_ZOMBIE: "gone",
            psutil.STATUS_STOPPED: "stopped",
        }.get(status, "running")  # type: ignore[return-value]
    # psutil gives the start by the clock, which may be set anew while a process runs.
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return "", "gone"
    fields = stat.rpartition(")")[2].split()
    conditions: dict[str, Condition] = {"Z": "gone", "X": "gone", "T": "stopped"}
    return f"{_boot()}-{fields[19]}", conditions.get(fields[0], "running")


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    except OSError:
        return "boot"
