"""An epoch of our loop against Keras's own on the same inputs."""

from __future__ import annotations

import json
from statistics import median

from .bench import Bench, Unavailable
from .machine import doubt
from .media import Write, write_pictures, write_sounds, write_texts
from .report import Row, median_row, ratios

FITS: dict[str, tuple[str, int, Write]] = {
    "cnn": ("digits", 10_000, write_pictures),
    "bag_of_ngrams": ("messages", 120_000, write_texts),
    "audio_cnn": ("few_spoken_digits", 2_700, write_sounds),
}
BOUNDS = {"cnn": (1.0, 0.9)}


def epochs(bench: Bench) -> list[Row]:
    """One family of each medium."""
    return [_family(bench, family) for family in FITS]


def _family(bench: Bench, family: str) -> Row:
    pipeline, rows, write = FITS[family]
    path = write(bench.place / f"{family}-data", rows)
    bench.say(f"epochs: {rows:,} rows for {family} made")
    home, times = str(bench.new_home()), str(bench.options.repeats)
    command = ["fits.py", pipeline, family, str(path), times, home]
    measured = bench.python(*command)
    if measured.exit_code:
        raise Unavailable(f"the fits failed: {measured.stderr[-300:]}")
    found = json.loads(measured.stdout.splitlines()[-1])
    at_least, aim = BOUNDS.get(family, (1.5, 1.0))
    ours = found.pop("ours")
    best = min(found, key=lambda kind: median(found[kind]))
    return median_row(
        "epochs",
        f"{family}, {rows:,} rows: an epoch ÷ the best of {', '.join(found)}",
        ratios(ours, found[best]),
        at_least=at_least,
        aim=aim,
        parts={
            "ours, s": median(ours),
            **{f"{kind}, s": median(seconds) for kind, seconds in found.items()},
        },
        note=doubt([measured.surroundings]),
    )
