"""Large data: is the time linear, is the memory bounded?"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from .bench import Bench, answer_of
from .images import Digits, packaged, write_images
from .machine import doubt
from .measure import Measured
from .report import Row
from .runs import epochs_of

BOUND_MEBIBYTES = 2048
IMPORTS = (
    "import tensorflow, keras, pandas, pyarrow, great_expectations, mlflow, prefect"
)
ABOVE_IMPORTS_MEBIBYTES = 1024


@dataclass(frozen=True, slots=True)
class Sized:
    """A run on data of one size.

    Attributes:
        rates: rows a second, by stage, of the rows that the stage works on.
        stages: seconds of each.
    """

    rows: int
    measured: Measured
    answer: dict[str, Any]
    rates: dict[str, float]
    stages: dict[str, float]


def scale(bench: Bench) -> list[Row]:
    """A large run between two small ones: each stage's rates, each process's peak."""
    large = bench.options.rows
    digits = packaged()
    few = [_sized(bench, large // 10, 2, digits)]
    many = _sized(bench, large, 1, digits)
    few.append(_sized(bench, large // 10, 2, digits))
    imports = bench.code(IMPORTS)
    return [_memory(few, many, imports), _linear(few, many)]


def _sized(bench: Bench, rows: int, epochs: int, digits: Digits) -> Sized:
    """A run; where it has two epochs, the second tells the rate, without tracing."""
    # No gate may refuse what so few epochs teach.
    settings = ("--set", f"training.epochs={epochs}", "--set", "gates=[]")
    with tempfile.TemporaryDirectory(dir=bench.place) as folder:
        data = write_images(Path(folder) / "images.npz", rows, digits)
        bench.say(f"scale: {rows:,} images made, {data.stat().st_size >> 20:,} MiB")
        home = Path(folder) / "home"
        command = ("run", "digits", "--data", str(data), "--json", *settings)
        measured = bench.headrace(*command, home=home)
        answer = answer_of(measured)
        seconds = epochs_of(home, answer["run_id"])["epoch_seconds"][-1]
    stages = {stage["name"]: stage["seconds"] for stage in answer["stages"]}
    bench.say(f"scale: {rows:,} rows: {measured.wall_seconds:.0f} s, {stages}")
    rates = stage_rates(stages, answer["snapshot"]["rows"], seconds)
    return Sized(rows, measured, answer, rates, stages)


def stage_rates(
    stages: dict[str, float], rows: dict[str, int], epoch_seconds: float
) -> dict[str, float]:
    """Rows a second of each stage that reads them; of training, of one epoch."""
    return {
        "ingest": sum(rows.values()) / stages["ingest"],
        "validate": sum(rows.values()) / stages["validate"],
        "epoch": rows["train"] / epoch_seconds,
        "evaluate": rows["test"] / stages["evaluate"],
    }


def _memory(few: Sequence[Sized], many: Sized, imports: Measured) -> Row:
    baseline = imports.peak_bytes >> 20
    return Row(
        "scale",
        f"{many.rows:,} images: peak memory of a process",
        many.measured.peak_bytes >> 20,
        unit="MiB",
        at_least=BOUND_MEBIBYTES,
        aim=baseline + ABOVE_IMPORTS_MEBIBYTES,
        parts={
            "by process, MiB": many.measured.peaks(),
            f"at {few[0].rows:,}, MiB": few[0].measured.peaks(),
            "imports alone, MiB": baseline,
        },
    )


def _linear(few: Sequence[Sized], many: Sized) -> Row:
    stages = ("ingest", "validate", "epoch")
    rates = {name: mean(run.rates[name] for run in few) for name in many.rates}
    against = {name: many.rates[name] / rate for name, rate in rates.items()}
    small = few[0].rows
    return Row(
        "scale",
        f"rows/s at {many.rows:,} ÷ at {small:,}: the least of {', '.join(stages)}",
        min(against[name] for name in stages),
        at_least=0.9,
        aim=1.0,
        rising=True,
        parts={
            "ratios": against,
            f"rows/s at {small:,}": rates,
            f"rows/s at {many.rows:,}": many.rates,
            "test accuracy": many.answer["metrics"]["test_accuracy"],
            f"stages at {small:,}, s": few[0].stages,
            f"stages at {many.rows:,}, s": many.stages,
            "whole runs, s": [run.measured.wall_seconds for run in (*few, many)],
        },
        note=doubt([run.measured.surroundings for run in (*few, many)]),
    )
