"""What tuning adds to each trial."""

from __future__ import annotations

from statistics import median
from typing import Any

from .bench import Bench, answer_of
from .machine import doubt
from .report import Row, median_row

RATE = "training.learning_rate=log(1e-4,1)"
EPOCHS = 3


def tuning(bench: Bench) -> list[Row]:
    """The seconds of a trial beyond fitting, which has tracing and compilation in it.

    Raises:
        Unavailable: there is no such command yet.
    """
    trials = str(bench.options.trials)
    settings = ("--set", RATE, "--set", f"training.epochs={EPOCHS}")
    measured = bench.headrace(
        "tune",
        "digits",
        "--trials",
        trials,
        "--data",
        str(bench.options.data),
        *settings,
        "--json",
        home=bench.new_home(),
    )
    answer = answer_of(measured)
    done = answer["trials"]
    return [
        median_row(
            "tune",
            "tuning: overhead per trial beyond fitting",
            overheads(done),
            unit="s",
            at_least=1.0,
            aim=0.3,
            parts={
                "trials": len(done),
                "a trial, s": median(trial["seconds"] for trial in done),
                "fitting in it, s": median(trial["fit_seconds"] for trial in done),
                "outside the trials, s": measured.wall_seconds
                - sum(trial["seconds"] for trial in done),
                "whole command, s": measured.wall_seconds,
                "peak memory, MiB": measured.peaks(),
            },
            note=doubt([measured.surroundings]),
        )
    ]


def overheads(trials: list[dict[str, Any]]) -> list[float]:
    """Seconds of each trial that were not fitting."""
    return [trial["seconds"] - trial["fit_seconds"] for trial in trials]
