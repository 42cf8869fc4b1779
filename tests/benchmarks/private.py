"""A private training step against a plain one, by ghost norms and row by row."""

from __future__ import annotations

import json
from statistics import median

from .bench import Bench, Unavailable
from .machine import doubt
from .report import Row, median_row, ratios

BOUNDS: dict[str, tuple[float | None, float | None]] = {"dense": (3.0, 2.0)}


def private(bench: Bench) -> list[Row]:
    """Both kinds of networks, on random images."""
    bench.say("private: fits two networks, privately and not")
    measured = bench.python("private_fits.py", str(bench.options.repeats))
    if measured.exit_code:
        raise Unavailable(f"the fits failed: {measured.stderr[-300:]}")
    found = json.loads(measured.stdout.splitlines()[-1])
    return [
        median_row(
            "private",
            f"{kind}, batches of 128: a private step ÷ a plain one",
            ratios(times["private"], times["plain"]),
            at_least=BOUNDS.get(kind, (None, None))[0],
            aim=BOUNDS.get(kind, (None, None))[1],
            parts={f"{name}, ms": median(values) for name, values in times.items()},
            note=doubt([measured.surroundings]),
        )
        for kind, times in found.items()
    ]
