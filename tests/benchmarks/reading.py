"""Ingestion and validation against bare decoding of the same files on two cores."""

from __future__ import annotations

import os
from statistics import median
from typing import Any

from .bench import Bench, answer_of
from .machine import doubt
from .measure import Measured
from .media import Write, write_pictures, write_sounds, write_texts
from .report import Row, median_row, ratios

BOUNDS = {"sounds": 3.0, "texts": 2.5}
KINDS: dict[str, tuple[str, int, Write]] = {
    "pictures": ("digits", 70_000, write_pictures),
    "sounds": ("few_spoken_digits", 3_000, write_sounds),
    "texts": ("messages", 120_000, write_texts),
}


def ingest(bench: Bench) -> list[Row]:
    """``headrace check --data``, in turn with a script that decodes and no more."""
    return [_kind(bench, kind) for kind in KINDS]


def _kind(bench: Bench, kind: str) -> Row:
    pipeline, rows, write = KINDS[kind]
    path = write(bench.place / kind, rows)
    os.sync()  # else ingestion, which flushes what it writes, waits for this as well
    bench.say(f"ingest: {rows:,} {kind} made")
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    megabytes = sum(file.stat().st_size for file in files) / 1e6
    bare, ours = list[float](), list[dict[str, float]]()
    seen = list[Measured]()
    for _ in range(bench.options.repeats):
        bare.append(float(bench.python("decode.py", kind, str(path)).stdout))
        command = ("check", pipeline, "--data", str(path), "--json")
        seen.append(bench.headrace(*command, home=bench.new_home()))
        stages = answer_of(seen[-1])["stages"]
        ours.append({stage["name"]: stage["seconds"] for stage in stages})
    seconds = {name: [stages[name] for stages in ours] for name in ours[0]}
    medians = {n: median(values) for n, values in seconds.items() if any(values)}
    parts: dict[str, Any] = {
        "stages, s": medians,
        "rows/s": {name: rows / value for name, value in medians.items()},
        "MB/s of ingest": megabytes / medians["ingest"],
        "bare, s": median(bare),
    }
    return median_row(
        "ingest",
        f"ingest of {rows:,} {kind} ÷ bare decoding",
        ratios(seconds["ingest"], bare),
        at_least=BOUNDS.get(kind, 1.5),
        aim=1.2,
        parts=parts,
        note=doubt([measured.surroundings for measured in seen]),
    )
