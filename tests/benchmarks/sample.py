"""The packaged digits, as a newcomer runs them: from nothing, and after one change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from .bench import Bench, Unavailable, answer_of
from .machine import doubt
from .measure import Measured
from .report import Row, median_row

CHANGED = ("--set", "training.seed=2")
IMPORT = "import tensorflow"


def sample(bench: Bench) -> list[Row]:
    """First runs and runs after a changed field, with a server up and without."""
    seen: dict[str, list[Measured]] = {"import": [], "first": [], "changed": []}
    seen |= {"first, server up": [], "changed, server up": []}
    for _ in range(bench.options.repeats):
        seen["import"].append(bench.code(IMPORT))
        _pair(bench, seen, "", bench.new_home())
        home = bench.new_home()
        with bench.up(home) as processes:
            _pair(bench, seen, ", server up", home, processes)
    wall: dict[str, Any] = {"at_least": 10.0, "aim": 7.0}
    changed: dict[str, Any] = {"at_least": 8.0, "aim": 5.0}
    up: dict[str, Any] = {"at_least": 5.0, "aim": 3.0}
    return [
        _row("first run, nothing running: wall", seen, "first", **wall),
        _row(
            "first run, nothing running: CPU",
            seen,
            "first",
            field="cpu_seconds",
            at_least=15.0,
            aim=11.0,
        ),
        _row("one field changed, nothing running: wall", seen, "changed", **changed),
        _row("first run, a server up: wall", seen, "first, server up"),
        _row("one field changed, a server up: wall", seen, "changed, server up", **up),
    ]


def _pair(
    bench: Bench,
    seen: dict[str, list[Measured]],
    how: str,
    home: Path,
    beside: Sequence[psutil.Process] = (),
) -> None:
    for name, fields in (("first", ()), ("changed", CHANGED)):
        command = ("run", "digits", "--json", *fields)
        measured = bench.headrace(*command, home=home, beside=beside)
        answer = answer_of(measured)
        if answer["version"] is None:
            raise Unavailable(f"a run was {answer['status']}: {answer['reason']}")
        seen[f"{name}{how}"].append(measured)


def _row(
    what: str,
    seen: dict[str, list[Measured]],
    name: str,
    field: str = "wall_seconds",
    **bounds: Any,
) -> Row:
    runs: Sequence[Measured] = seen[name]
    stages = answer_of(runs[-1])["stages"]
    imports = median(measured.wall_seconds for measured in seen["import"])
    return median_row(
        "sample",
        what,
        [getattr(measured, field) for measured in runs],
        unit="s",
        parts={
            "imports of TensorFlow": median(getattr(m, field) for m in runs) / imports,
            "an import, s": imports,
            "CPU, s": median(m.cpu_seconds for m in runs),
            "stages, s": {stage["name"]: stage["seconds"] for stage in stages},
        },
        note=doubt([measured.surroundings for measured in runs]),
        **bounds,
    )
