"""Prints the seconds that bare reading of some files takes on two cores.

Usage: ``python decode.py KIND PATH``, with PNG or WAV files below a folder, or
a Parquet file of texts.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image
from pyarrow import parquet

PROCESSES = 2
SUFFIXES = {"pictures": "png", "sounds": "wav"}


def picture(path: Path) -> int:
    """Decode a PNG file; the number of its values."""
    with Image.open(path) as image:
        return np.asarray(image).size


def sound(path: Path) -> int:
    """Decode a WAV file; the number of its samples."""
    return len(soundfile.read(path, dtype="float32")[0])


def texts(path: Path) -> int:
    """Read a Parquet file into Python's strings; their number."""
    return len(parquet.read_table(path).to_pylist())


def main() -> None:
    """Measure."""
    kind, place = sys.argv[1], Path(sys.argv[2])
    started = time.perf_counter()
    if kind == "texts":
        texts(place)
    else:
        work = {"pictures": picture, "sounds": sound}[kind]
        files = sorted(place.rglob(f"*.{SUFFIXES[kind]}"))
        with ProcessPoolExecutor(PROCESSES) as pool:
            chunk = max(1, min(500, len(files) // 50))
            sum(pool.map(work, files, chunksize=chunk))
    sys.stdout.write(f"{time.perf_counter() - started}\n")


if __name__ == "__main__":
    main()
