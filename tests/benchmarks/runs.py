"""The bare script and first runs in turn, and the run after a first one."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from .bench import Bench, Unavailable, answer_of
from .measure import Measured

Epochs = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Bare:
    """One run of the bare script."""

    measured: Measured
    accuracy: float


@dataclass(frozen=True, slots=True)
class First:
    """One run of Headrace in an empty home.

    Attributes:
        answer: its ``--json``.
        epochs: what it logged for each epoch, by metric.
        home: where its state is.
    """

    measured: Measured
    answer: dict[str, Any]
    epochs: Epochs
    home: Path

    def outside_training(self) -> float:
        """CPU seconds of all but the server and the steps of training.

        Raises:
            Unavailable: the run did not log what training took.
        """
        training = self.epochs.get("epoch_cpu_seconds")
        if not training:
            raise Unavailable("the run logs no metric epoch_cpu_seconds")
        server = self.measured.cpu_of("server")
        return self.measured.cpu_seconds - server - sum(training)


@dataclass(frozen=True, slots=True)
class Repetition:
    """One of each, one after the other.

    Attributes:
        up: with a Prefect server already up.
        cold: with nothing running before.
        again: a second run in the home of ``cold``.
    """

    bare: Bare
    up: First
    cold: First
    again: Measured


def repetitions(bench: Bench) -> list[Repetition]:
    """The runs that all rows here are made of; each time in another order."""
    done = []
    for number in range(bench.options.repeats):
        made: dict[str, Any] = {}
        parts: list[tuple[str, Callable[[], Any]]] = [
            ("bare", lambda seed=number + 1: _bare(bench, seed)),
            ("up", lambda seed=number + 1: _up(bench, seed)),
            ("cold", lambda seed=number + 1: _first(bench, seed, bench.new_home())),
        ]
        for name, work in parts[number % 3 :] + parts[: number % 3]:
            made[name] = work()
            measured: Measured = made[name].measured
            bench.say(
                f"whole {number + 1}/{bench.options.repeats} {name}: "
                f"{measured.wall_seconds:.1f} s, CPU {measured.cpu_seconds:.1f} s, "
                f"others {measured.surroundings.other_cpu_seconds:.1f} s"
            )
        again = bench.headrace(*_command(bench, number + 1), home=made["cold"].home)
        if answer_of(again)["status"] != "unchanged":
            raise Unavailable(f"a second run was not unchanged: {again.stdout}")
        done.append(Repetition(**made, again=again))
    return done


def _command(bench: Bench, seed: int) -> list[str]:
    data = str(bench.options.data)
    seeds = ["--set", f"training.seed={seed}"] if seed != 1 else []
    return ["run", "digits", "--data", data, "--json", *seeds]


def _bare(bench: Bench, seed: int) -> Bare:
    measured = bench.python("bare.py", str(bench.options.data), str(seed))
    if measured.exit_code:
        raise Unavailable(f"the bare script failed: {measured.stderr[-300:]}")
    return Bare(measured, float(measured.stdout.splitlines()[-1]))


def _up(bench: Bench, seed: int) -> First:
    home = bench.new_home()
    with bench.up(home) as processes:
        return _first(bench, seed, home, processes)


def _first(
    bench: Bench, seed: int, home: Path, beside: Sequence[psutil.Process] = ()
) -> First:
    measured = bench.headrace(*_command(bench, seed), home=home, beside=beside)
    answer = answer_of(measured)
    if answer["status"] != "promoted":
        raise Unavailable(f"a first run was {answer['status']}: {answer['reason']}")
    return First(measured, answer, epochs_of(home, answer["run_id"]), home)


def epochs_of(home: Path, run_id: str) -> Epochs:
    """What a run logged in MLflow, by metric, in the order of its epochs."""
    found: Epochs = {}
    with contextlib.closing(sqlite3.connect(home / "mlflow.db")) as database:
        rows = database.execute(
            "SELECT key, value FROM metrics WHERE run_uuid = ? ORDER BY step", (run_id,)
        )
        for name, value in rows:
            found.setdefault(name, []).append(value)
    return found
