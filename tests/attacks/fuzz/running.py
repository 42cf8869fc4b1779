"""Reads many mutants in child processes, so that one that kills is found out.

A child reads one mutant after the other under limits on memory and time. What it ends
of, or lets through as another error than the product's own, is kept as a finding.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from tests.attacks.fuzz.mutations import mutant
from tests.attacks.fuzz.reading import read
from tests.attacks.fuzz.seeds import Seed, all_seeds

MEMORY_BYTES = 2 * 10**9
# Of address space, of which decoders ask for more than they use.
_ADDRESS_BYTES = 8 * 2**30
CPU_SECONDS = 60
_SECONDS = 900  # for a mutant that waits and computes nothing
_AT_ONCE = 100


@dataclass(frozen=True)
class Finding:
    """A mutant that was not read as it should be.

    Attributes:
        what: an error and where, or how the process ended.
        data: the file.
    """

    seed: str
    number: int
    what: str
    data: bytes = b""


@dataclass
class Report:
    """What became of all mutants.

    Attributes:
        outcomes: of each seed: how many were read, refused, or set aside and why.
        slowest, largest: CPU seconds and bytes of memory of one mutant, the most.
    """

    count: int = 0
    findings: list[Finding] = field(default_factory=list)
    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    slowest: tuple[float, str] = (0.0, "")
    largest: tuple[int, str] = (0, "")


def fuzz(numbers: range, report: Report, seeds: Sequence[Seed] = ()) -> None:
    """Read the mutants of those numbers of all seeds, or of some.

    Args:
        numbers: the same ones give the same mutants.
        report: takes in what became of them.
    """
    known = all_seeds()
    for seed in seeds or known:
        others = [other.data for other in known if other.medium == seed.medium]
        for start in range(numbers.start, numbers.stop, _AT_ONCE):
            _read_some(
                seed, others, range(start, min(start + _AT_ONCE, numbers.stop)), report
            )


def _mutant(seed: Seed, others: Sequence[bytes], number: int) -> bytes:
    if number == 0:
        return seed.wrap(seed.data)
    other = others[number % len(others)]
    return seed.wrap(mutant(seed.data, other, number, seed.name))


def _read_some(
    seed: Seed, others: Sequence[bytes], numbers: range, report: Report
) -> None:
    """Read some mutants, in as many processes one after the other as it takes."""
    context = multiprocessing.get_context("forkserver")
    while numbers:
        ours, theirs = context.Pipe(duplex=False)
        child = context.Process(target=_child, args=(seed, others, numbers, theirs))
        child.start()
        theirs.close()
        done = _gather(seed, ours, report)
        child.join()
        numbers = numbers[done:]
        if not numbers:
            break
        # It ended at the next one; of its own will where it had too much in memory.
        if child.exitcode:
            what = f"the process ended: {_ending(child.exitcode)}"
            data = _mutant(seed, others, numbers[0])
            report.findings.append(Finding(seed.name, numbers[0], what, data))
            numbers = numbers[1:]


def _gather(seed: Seed, pipe: Connection, report: Report) -> int:
    done = 0
    counts = report.outcomes.setdefault(seed.name, Counter())
    while True:
        try:
            number, outcome, finding, seconds, memory = pipe.recv()
        except EOFError:
            return done
        done += 1
        report.count += 1
        counts[outcome] += 1
        report.slowest = max(report.slowest, (seconds, f"{seed.name} {number}"))
        report.largest = max(report.largest, (memory, f"{seed.name} {number}"))
        if finding is not None:
            report.findings.append(finding)


def _ending(code: int) -> str:
    if code == -signal.SIGPROF:
        return f"over {CPU_SECONDS} s of computing"
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _child(
    seed: Seed, others: Sequence[bytes], numbers: range, pipe: Connection
) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_BYTES, _ADDRESS_BYTES))
    # Whatever a decoder writes to its standard error is no concern of the tests.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error", category=RuntimeWarning)
        for number in numbers:
            pipe.send(_one(seed, others, number, Path(folder)))
            if _peak() > MEMORY_BYTES:
                break
    pipe.close()
    os._exit(0)


def _one(
    seed: Seed, others: Sequence[bytes], number: int, folder: Path
) -> tuple[int, str, Finding | None, float, int]:
    data = _mutant(seed, others, number)
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    signal.alarm(_SECONDS)
    started = time.process_time()
    finding = None
    try:
        outcome = read(seed, data, folder)
    except BaseException as error:  # whatever it is, it is a finding
        outcome = "fault"
        finding = Finding(seed.name, number, _place(error), data)
    seconds = time.process_time() - started
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.alarm(0)
    memory = _peak()
    if memory > MEMORY_BYTES:
        finding = Finding(seed.name, number, f"{memory:,} bytes of memory", data)
    return number, outcome, finding, seconds, memory


def _place(error: BaseException) -> str:
    """The error, and the last line of the product that it came through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/src/headrace/" in frame.filename]
    where = f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else "the harness"
    return f"{type(error).__name__} at {where}: {str(error)[:200]}"


def _peak() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def distinct(findings: Sequence[Finding]) -> Iterator[tuple[Finding, int]]:
    """One finding of each kind, and how many there are of it."""
    kinds: dict[str, list[Finding]] = {}
    for finding in findings:
        kinds.setdefault(finding.what.partition(": ")[0] + finding.seed, []).append(
            finding
        )
    for group in kinds.values():
        yield min(group, key=lambda one: len(one.data)), len(group)
