"""An epoch of our loop against Keras's own on the same cached inputs."""

from __future__ import annotations

import json
from statistics import median

from .bench import Bench, Unavailable
from .machine import doubt
from .media import Write, write_sounds, write_texts
from .report import Row, median_row, ratios

FITS: dict[str, tuple[str, int, Write]] = {
    "bag_of_ngrams": ("messages", 120_000, write_texts),
    "audio_cnn": ("few_spoken_digits", 2_700, write_sounds),
}


def epochs(bench: Bench) -> list[Row]:
    """The families of text and sound."""
    return [_family(bench, family) for family in FITS]


def _family(bench: Bench, family: str) -> Row:
    pipeline, rows, write = FITS[family]
    path = write(bench.place / f"{family}-data", rows)
    bench.say(f"epochs: {rows:,} rows for {family} made")
    home, times = str(bench.new_home()), str(bench.options.repeats)
    measured = bench.python("fits.py", pipeline, str(path), times, home)
    if measured.exit_code:
        raise Unavailable(f"the fits failed: {measured.stderr[-300:]}")
    found = json.loads(measured.stdout.splitlines()[-1])
    return median_row(
        "epochs",
        f"{family}, {rows:,} rows: an epoch ÷ Keras's fit on cached inputs",
        ratios(found["ours"], found["bare"]),
        at_least=1.5,
        aim=1.0,
        parts={
            "ours, s": median(found["ours"]),
            "bare, s": median(found["bare"]),
        },
        note=doubt([measured.surroundings]),
    )
