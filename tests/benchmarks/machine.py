"""The machine, and what it was doing besides what is measured."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

import psutil

LIBRARIES = (
    "tensorflow",
    "keras",
    "numpy",
    "prefect",
    "mlflow",
    "great-expectations",
    "pandas",
    "pyarrow",
)
BUSY_SHARE = 0.1
NAMED = 5


def describe(root: Path) -> dict[str, Any]:
    """Processor, memory, system, versions and commit."""
    return {
        "time": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "processor": _processor(),
        "cores": psutil.cpu_count(),
        "usable_cores": usable_cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in LIBRARIES},
        "commit": _git(root, "rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git(root, "status", "--porcelain")),
        "load_average": os.getloadavg(),
    }


def usable_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.processor()


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments],
        capture_output=True,
        text=True,
        check=False,  # it may be no repository
    )
    return done.stdout.strip()


def seconds_of(process: psutil.Process) -> float:
    """CPU seconds of one process so far, its children's not included."""
    times = process.cpu_times()
    return float(times.user + times.system)


@dataclass(frozen=True, slots=True)
class Moment:
    """What the machine had done by some moment.

    Attributes:
        clock: seconds, of `time.perf_counter`.
        load: load averages over 1, 5 and 15 minutes.
        busy, stolen: seconds of all cores together; stolen ones went to other
            guests of the same host.
        bench: CPU seconds of this process.
        processes: CPU seconds of each process, with its name.
    """

    clock: float
    load: tuple[float, float, float]
    busy: float
    stolen: float
    bench: float
    processes: dict[int, tuple[str, float]]


def now() -> Moment:
    """This moment."""
    times, clock, bench = psutil.cpu_times(), time.perf_counter(), time.process_time()
    idle = times.idle + getattr(times, "iowait", 0.0)
    # Linux counts a guest's time in its user time too.
    twice = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    stolen = getattr(times, "steal", 0.0)
    processes = {}
    for process in psutil.process_iter():
        try:
            processes[process.pid] = (title(process), seconds_of(process))
        except psutil.Error:
            continue
    busy = sum(times) - idle - stolen - twice
    return Moment(clock, os.getloadavg(), busy, stolen, bench, processes)


def title(process: psutil.Process) -> str:
    """What a process is called, with its first arguments, short."""
    words = [word.rpartition("/")[2] for word in process.cmdline()[:4]]
    return " ".join(words)[:60] or process.name()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the machine did besides, between two moments.

    Attributes:
        load_before, load_after: over one minute.
        other_cpu_seconds: of all but what is measured and the bench.
        other_share: the same, as a share of what all cores could have done.
        stolen_seconds: see `Moment`.
        busiest: the other processes that used most, in CPU seconds.
    """

    load_before: float
    load_after: float
    other_cpu_seconds: float
    other_share: float
    stolen_seconds: float
    busiest: dict[str, float]

    @property
    def busy(self) -> bool:
        """Whether others took enough to doubt a wall time."""
        return self.other_share > BUSY_SHARE

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return {**asdict(self), "busy": self.busy}


def surroundings(
    before: Moment, after: Moment, own_seconds: float, own: Collection[int]
) -> Surroundings:
    """What others did.

    Args:
        before, after: the moments.
        own_seconds: CPU seconds of what was measured.
        own: its processes.
    """
    own_seconds += after.bench - before.bench
    others = max(0.0, after.busy - before.busy - own_seconds)
    possible = (after.clock - before.clock) * (psutil.cpu_count() or 1)
    used = {
        f"{name} ({pid})": round(seconds - before.processes.get(pid, ("", 0.0))[1], 2)
        for pid, (name, seconds) in after.processes.items()
        if pid not in own
    }
    most = sorted(used.items(), key=lambda item: -item[1])[:NAMED]
    return Surroundings(
        load_before=before.load[0],
        load_after=after.load[0],
        other_cpu_seconds=round(others, 2),
        other_share=round(others / possible, 4) if possible else 0.0,
        stolen_seconds=round(after.stolen - before.stolen, 2),
        busiest={name: seconds for name, seconds in most if seconds >= 0.05},
    )


def doubt(seen: Sequence[Surroundings]) -> str:
    """What is to be said of figures that were taken while others were busy."""
    busy = [one.other_share for one in seen if one.busy]
    if not busy:
        return ""
    return (
        f"others took {median(busy):.0%} of the machine during {len(busy)} of "
        f"{len(seen)} measurements: measure again when it is idle"
    )
