"""The packaged digits, as a newcomer runs them: from nothing, and after one change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import psutil

from .bench import Bench, Unavailable, answer_of
from .machine import doubt
from .measure import Measured
from .report import Row, median_row, ratios

CHANGED = ("--set", "training.seed=2")
IMPORT = "import tensorflow"


def sample(bench: Bench) -> list[Row]:
    """First runs and runs after a changed field, with a server up and without."""
    seen: dict[str, list[Measured]] = {IMPORT: [], "first": [], "changed": []}
    seen |= {"first, server up": [], "changed, server up": []}
    for _ in range(bench.options.repeats):
        seen[IMPORT].append(bench.code(IMPORT))
        _pair(bench, seen, "", bench.new_home())
        home = bench.new_home()
        with bench.up(home) as processes:
            _pair(bench, seen, ", server up", home, processes)
    return [
        in_imports("first run, nothing running: wall", seen, "first", at_least=2.6),
        in_imports(
            "first run, nothing running: CPU",
            seen,
            "first",
            field="cpu_seconds",
            at_least=4.0,
        ),
        in_imports(
            "one field changed, nothing running: wall", seen, "changed", at_least=2.1
        ),
        in_imports("first run, a server up: wall", seen, "first, server up"),
        in_imports(
            "one field changed, a server up: wall",
            seen,
            "changed, server up",
            at_least=1.0,
        ),
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


def in_imports(
    what: str,
    seen: Mapping[str, Sequence[Measured]],
    name: str,
    field: str = "wall_seconds",
    at_least: float | None = None,
) -> Row:
    """A figure of runs as a multiple of the same figure of one import of TensorFlow."""
    seconds = {
        key: [getattr(one, field) for one in seen[key]] for key in (name, IMPORT)
    }
    runs = seen[name]
    stages = answer_of(runs[-1])["stages"]
    return median_row(
        "sample",
        f"{what} ÷ {IMPORT}",
        ratios(seconds[name], seconds[IMPORT]),
        at_least=at_least,
        parts={
            "a run, s": median(seconds[name]),
            "an import, s": median(seconds[IMPORT]),
            "CPU, s": median(m.cpu_seconds for m in runs),
            "stages, s": {stage["name"]: stage["seconds"] for stage in stages},
        },
        note=doubt([measured.surroundings for measured in runs]),
    )
