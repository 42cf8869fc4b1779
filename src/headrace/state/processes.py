"""Process identities: another process on the machine can check whether one still runs.

The condition of a process on another machine is ``unknown``.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import socket
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import psutil

_ROOT_NAMESPACE = "pid:[4026531836]"  # outside of containers, on every Linux

Condition = Literal["running", "stopped", "gone", "unknown"]


class Process(NamedTuple):
    """The identity of one process; it is never reused.

    Attributes:
        host: the machine and the container in which the process id is valid.
        pid: the process id.
        started: the boot id and the time since the boot, which no clock change moves.
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
        """The current condition; ``unknown`` for a process on another host."""
        if self.host != this_host():
            return "unknown"
        started, condition = _look_up(self.pid)
        return condition if started == self.started else "gone"


def has_ended(identity: str) -> bool:
    """Whether a text identifies a process of this host that has ended."""
    process = Process.parse(identity)
    return process is not None and process.condition == "gone"


def listening_at(port: int) -> str:
    """The process that listens at a port of this machine, in words."""
    import psutil

    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            is_there = connection.status == psutil.CONN_LISTEN
            if is_there and connection.laddr.port == port and connection.pid:
                return _in_words(psutil.Process(connection.pid))
    return "another program"  # that of another user


def _in_words(process: psutil.Process) -> str:
    """A process; the command of ours that it is or belongs to, and in which folder."""
    for one in (process, *process.parents()):
        words = one.cmdline()
        for name, command in itertools.pairwise(words[:5]):
            if Path(name).name in {"headrace", "headrace_cli"}:
                return f"`headrace {command}` in {one.cwd()} (process {one.pid})"
    return f"{process.name()} (process {process.pid})"


def this_process() -> Process:
    """The current process."""
    pid = os.getpid()
    return Process(this_host(), pid, _look_up(pid)[0])


@cache
def this_host() -> str:
    """The host name and, after ``#``, the machine's id and the container's namespace.

    They distinguish machines and containers of the same name.
    """
    ids = []
    with contextlib.suppress(OSError):
        machine = Path("/etc/machine-id").read_bytes().strip()
        ids += [hashlib.sha256(machine).hexdigest()[:8]] if machine else []
    with contextlib.suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())
        ids += [] if namespace == _ROOT_NAMESPACE else [namespace[5:-1]]
    return "#".join(filter(None, [socket.gethostname(), "-".join(ids)]))


def _look_up(pid: int) -> tuple[str, Condition]:
    """The start of a process of this host, and its condition."""
    conditions: dict[str, Condition]
    if sys.platform != "linux":
        import psutil

        conditions = {psutil.STATUS_ZOMBIE: "gone", psutil.STATUS_STOPPED: "stopped"}
        try:
            process = psutil.Process(pid)
            started, status = f"{process.create_time():.2f}", process.status()
        except psutil.NoSuchProcess:
            return "", "gone"
        return started, conditions.get(status, "running")
    # psutil's start time is by the wall clock, which can change while a process runs.
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return "", "gone"
    fields = stat.rpartition(")")[2].split()
    conditions = {"Z": "gone", "X": "gone", "T": "stopped"}
    return f"{_boot_id()}-{fields[19]}", conditions.get(fields[0], "running")


@cache
def _boot_id() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    return "boot"
