"""A whole run against the bare script, what its parts cost, and the run after it."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, median
from typing import Any

from .bench import Unavailable
from .machine import doubt
from .report import Row, median_row, missing_row, ratios
from .runs import First, Repetition

SEEDS = 5


def whole(runs: Sequence[Repetition]) -> list[Row]:
    """Wall and CPU of a first run against the bare script's, and the accuracies."""
    bare = [run.bare.measured for run in runs]
    rows = []
    for name, firsts, bounds in (
        ("a server up", [r.up for r in runs], ((0.6, 0.55), (0.7, 0.6))),
        ("nothing up", [r.cold for r in runs], ((0.7, 0.6), (0.95, 0.75))),
    ):
        ours = [first.measured for first in firsts]
        for kind, (at_least, aim) in zip(("wall", "CPU"), bounds, strict=True):
            field = f"{kind.lower()}_seconds"
            headrace = [getattr(m, field) for m in ours]
            script = [getattr(m, field) for m in bare]
            rows.append(
                median_row(
                    "whole",
                    f"whole run, {name}: {kind} ÷ bare script",
                    ratios(headrace, script),
                    at_least=at_least,
                    aim=aim,
                    parts={
                        "headrace, s": median(headrace),
                        "bare, s": median(script),
                        **(_stages(firsts) if kind == "wall" else _cpu(firsts)),
                    },
                    note=doubt([m.surroundings for m in (*ours, *bare)]),
                )
            )
    return [*rows, _accuracy(runs)]


def _stages(firsts: Sequence[First]) -> dict[str, Any]:
    """Where the wall time goes; the rest is start, server and end."""
    names = [stage["name"] for stage in firsts[0].answer["stages"]]
    seconds = {
        name: median(f.answer["stages"][i]["seconds"] for f in firsts)
        for i, name in enumerate(names)
    }
    rest = median(
        f.measured.wall_seconds - sum(s["seconds"] for s in f.answer["stages"])
        for f in firsts
    )
    return {"stages, s": seconds, "outside the stages, s": rest}


def _cpu(firsts: Sequence[First]) -> dict[str, Any]:
    roles = sorted({p.role for f in firsts for p in f.measured.processes})
    peaks: dict[str, int] = {}
    for first in firsts:
        for name, mebibytes in first.measured.peaks().items():
            peaks[name] = max(peaks.get(name, 0), mebibytes)
    up = median(f.measured.beside_cpu_seconds for f in firsts)
    return {
        "by process, s": {
            name: median(f.measured.cpu_of(name) for f in firsts) for name in roles
        },
        **({"the server that was up, s": up} if up else {}),
        "peak memory, MiB": peaks,
        "left behind": [name for f in firsts for name in f.measured.left_behind],
    }


def _accuracy(runs: Sequence[Repetition]) -> Row:
    ours = [run.up.answer["metrics"]["test_accuracy"] for run in runs]
    bare = [run.bare.accuracy for run in runs]
    same = [
        r.up.answer["weights_digest"] == r.cold.answer["weights_digest"] for r in runs
    ]
    few = (
        f"seeds: {len(runs)}; {SEEDS} are needed to judge" if len(runs) < SEEDS else ""
    )
    return Row(
        "whole",
        "accuracy: mean over seeds, distance from the bare script",
        abs(mean(ours) - mean(bare)),
        at_least=0.002,
        parts={
            "headrace": ours,
            "bare": bare,
            "means": {"headrace": round(mean(ours), 5), "bare": round(mean(bare), 5)},
            "same weights with and without a server": all(same),
        },
        note=few,
    )


def first(runs: Sequence[Repetition]) -> list[Row]:
    """CPU of a first run outside training, the server apart."""
    colds = [run.cold for run in runs]
    server = median_row(
        "first",
        "first run: CPU of the server",
        [cold.measured.cpu_of("server") for cold in colds],
        unit="s",
        at_least=8,
        aim=5,
    )
    what = "first run: CPU of everything but training and the server"
    bounds: dict[str, Any] = {"unit": "s", "at_least": 16, "aim": 11}
    try:
        samples = [cold.outside_training() for cold in colds]
    except Unavailable as error:
        return [missing_row("first", what, str(error), **bounds), server]
    parts = {"training, s": median(sum(c.epochs["epoch_cpu_seconds"]) for c in colds)}
    return [median_row("first", what, samples, parts=parts, **bounds), server]


def second(runs: Sequence[Repetition]) -> list[Row]:
    """A second run in which nothing changed."""
    again = [run.again for run in runs]
    return [
        median_row(
            "second",
            "second run, nothing changed: wall",
            [m.wall_seconds for m in again],
            unit="s",
            at_least=0.3,
            aim=0.2,
            parts={"CPU, s": median(m.cpu_seconds for m in again)},
            note=doubt([m.surroundings for m in again]),
        )
    ]
