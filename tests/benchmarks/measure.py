"""One command as a tree of processes: wall, CPU and peak memory.

The CPU is what the kernel says of the command and of all that it waited for, so it
misses no process, however short; samples say which process it was.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from . import machine
from .machine import Surroundings

SAMPLE_SECONDS = 0.1
LEAVE_SECONDS = 5


@dataclass(slots=True)
class Sampled:
    """A process of the tree, as it was last seen.

    Attributes:
        role: ``main``, ``server``, ``worker``, or its name.
        cpu_seconds: its own, without its children's.
        peak_bytes: of resident memory.
        is_forked: whether it descends from a process beside, not from the command.
    """

    pid: int
    role: str = ""
    cpu_seconds: float = 0.0
    peak_bytes: int = 0
    is_forked: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """What a command took.

    Attributes:
        exit_code: negative for the signal that ended it.
        wall_seconds: from before its start to its end.
        cpu_seconds: user and system, of it and all its descendants.
        beside_cpu_seconds: what the processes named as ``beside`` took meanwhile.
        processes: its tree.
        left_behind: roles of processes that outlived it.
        surroundings: what else the machine did.
    """

    command: list[str]
    exit_code: int
    wall_seconds: float
    cpu_seconds: float
    beside_cpu_seconds: float
    processes: list[Sampled]
    left_behind: list[str]
    surroundings: Surroundings
    stdout: str = field(repr=False)
    stderr: str = field(repr=False)

    def cpu_of(self, role: str) -> float:
        """CPU seconds of the processes with one role, as sampled."""
        return sum(p.cpu_seconds for p in self.processes if p.role == role)

    @property
    def peak_bytes(self) -> int:
        """The most that any one process had resident."""
        return max((p.peak_bytes for p in self.processes), default=0)

    def peaks(self) -> dict[str, int]:
        """The most that any process of each role had resident, in MiB."""
        found: dict[str, int] = {}
        for process in self.processes:
            mebibytes = process.peak_bytes >> 20
            found[process.role] = max(found.get(process.role, 0), mebibytes)
        return found

    def as_json(self) -> dict[str, Any]:
        """As plain values, without what it printed."""
        values = asdict(self)
        del values["stdout"], values["stderr"]
        return {**values, "surroundings": self.surroundings.as_json()}


def measure(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    folder: Path,
    beside: Sequence[psutil.Process] = (),
) -> Measured:
    """Run a command and wait for it.

    Args:
        command: program and arguments.
        environment: all of it.
        folder: where it runs.
        beside: processes that it works with but did not start.
    """
    before, beside_before = machine.now(), _seconds(beside)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        sampler = Sampler(process.pid, {p.pid for p in beside})
        try:
            exit_code, cpu = _wait(process)
        except BaseException:
            end_group(process)
            raise
        finally:
            wall = time.perf_counter() - started
            tree = sampler.stop()
        left = _left_behind(tree)
        beside_cpu = _seconds(beside) - beside_before
        # A fork of a process beside belongs to the command.
        more = [p for p in tree if p in left or p.is_forked]
        cpu += sum(p.cpu_seconds for p in more)
        own = {p.pid for p in tree} | {p.pid for p in beside}
        return Measured(
            command=list(command),
            exit_code=exit_code,
            wall_seconds=wall,
            cpu_seconds=cpu,
            beside_cpu_seconds=beside_cpu,
            processes=tree,
            left_behind=[p.role for p in left],
            surroundings=machine.surroundings(
                before, machine.now(), cpu + beside_cpu, own
            ),
            stdout=_text(out),
            stderr=_text(err),
        )


def end_group(process: subprocess.Popen[Any]) -> None:
    """Kill a process and its group, if it has not ended, and wait for it."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(process: subprocess.Popen[bytes]) -> tuple[int, float]:
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_utime + usage.ru_stime


def _seconds(processes: Sequence[psutil.Process]) -> float:
    return sum(machine.seconds_of(process) for process in processes)


def _text(file: Any) -> str:
    file.seek(0)
    return str(file.read().decode(errors="replace"))


def _left_behind(tree: list[Sampled]) -> list[Sampled]:
    """What still runs a moment after the command has ended."""
    alive = []
    for sampled in tree:
        with contextlib.suppress(psutil.NoSuchProcess):
            alive.append(psutil.Process(sampled.pid))
    _, left = psutil.wait_procs(alive, timeout=LEAVE_SECONDS)
    pids = {process.pid for process in left}
    return [sampled for sampled in tree if sampled.pid in pids]


class Sampler:
    """Looks at a tree of processes until told to stop.

    A process belongs to it if its parent does when it is first seen, so that one in a
    session of its own, or whose parent has ended, is not lost. A new child of a process
    beside belongs to it as well.
    """

    def __init__(self, root: int, beside: Set[int] = frozenset()) -> None:
        self._root, self._beside = root, beside
        self._known = set(psutil.pids()) - {root}
        self._tree: dict[int, Sampled] = {root: Sampled(root, "main")}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> list[Sampled]:
        """End, with all that was seen."""
        self._stop.set()
        self._thread.join()
        return list(self._tree.values())

    def _run(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            for pid in sorted(set(psutil.pids()) - self._known):
                with contextlib.suppress(psutil.Error):
                    self._look(pid)

    def _look(self, pid: int) -> None:
        process = psutil.Process(pid)
        sampled = self._tree.get(pid)
        if sampled is None:
            parent = process.ppid()
            is_forked = parent in self._beside
            if not is_forked and parent not in self._tree:
                self._known.add(pid)
                return
            is_forked = is_forked or self._tree[parent].is_forked
            sampled = Sampled(pid, process.name(), is_forked=is_forked)
            self._tree[pid] = sampled
        if process.status() == psutil.STATUS_ZOMBIE:
            return
        if pid != self._root:  # what it runs may change after its first moment
            sampled.role = role(process.cmdline(), process.name()) or sampled.role
        sampled.cpu_seconds = machine.seconds_of(process)
        sampled.peak_bytes = max(sampled.peak_bytes, _peak_bytes(process))


def role(command: Sequence[str], name: str = "") -> str:
    """What a process of Headrace is there for: a fork has a name of its own only."""
    text = " ".join(command)
    if name == "prefect-server" or "headrace_ops.prefect_server" in text:
        return "server"
    if "multiprocessing.resource_tracker" in text:
        return "tracker"
    if "multiprocessing.spawn" in text:
        return "worker"
    words = [word.rpartition("/")[2] for word in command[:3]]
    return " ".join(words)[:40]


def _peak_bytes(process: psutil.Process) -> int:
    """Linux keeps the peak itself; elsewhere a sample must do."""
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{process.pid}/status").read_text()
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    return int(process.memory_info().rss)
