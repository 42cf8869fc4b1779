"""How fast a language model writes."""

from __future__ import annotations

import json
from statistics import median

from .bench import Bench, Unavailable
from .report import Row, median_row, ratios


def writing(bench: Bench) -> list[Row]:
    """Characters a second against a bare compiled loop of the same model.

    Raises:
        Unavailable: the models cannot be made.
    """
    measured = bench.python("write_speed.py", str(bench.options.repeats))
    if measured.exit_code:
        raise Unavailable(measured.stderr[-300:])
    found = json.loads(measured.stdout.splitlines()[-1])
    return [
        median_row(
            "writing",
            f"{name}: characters/s ÷ a bare compiled loop",
            ratios(rates["ours"], rates["bare"]),
            at_least=0.9,
            rising=True,
            parts={f"{kind}, characters/s": median(r) for kind, r in rates.items()},
        )
        for name, rates in found.items()
    ]
