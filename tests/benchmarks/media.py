"""Texts, sounds and images in their files, any number of them, the same each time."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import soundfile
from PIL import Image
from pyarrow import parquet

from .images import packaged

Write = Callable[[Path, int], Path]
CLASSES = ("ham", "spam")
WORDS = 30_000
RATE_HZ = 8000


def write_texts(path: Path, rows: int) -> Path:
    """A Parquet file of short texts, some of whose words tell the label."""
    random = np.random.default_rng(1)
    letters = np.array(list("etaoinshrdlucmfw"))
    words = ["".join(random.choice(letters, n)) for n in random.integers(2, 10, WORDS)]
    lengths = random.integers(6, 25, rows)
    chosen = np.minimum(random.zipf(1.3, int(lengths.sum())), WORDS) - 1
    ends = np.cumsum(lengths)
    labels = random.integers(0, len(CLASSES), rows)
    texts = [
        " ".join([words[number] for number in part] + [words[label]])
        for part, label in zip(np.split(chosen, ends[:-1]), labels, strict=True)
    ]
    table = pa.table({"text": texts, "label": [CLASSES[label] for label in labels]})
    parquet.write_table(table, path)
    return path


def write_sounds(folder: Path, rows: int) -> Path:
    """A folder of WAV files of a second, each a tone in noise, with their table."""
    random = np.random.default_rng(1)
    time = np.arange(RATE_HZ) / RATE_HZ
    folder.mkdir()
    lines = ["file,label"]
    for row in range(rows):
        label = row % 10
        wave = 0.3 * np.sin(2 * np.pi * (300 + 200 * label) * time)
        wave += random.normal(0, 0.05, RATE_HZ)
        soundfile.write(folder / f"{row}.wav", wave, RATE_HZ, subtype="PCM_16")
        lines.append(f"{row}.wav,{label}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    return folder


def write_pictures(folder: Path, rows: int) -> Path:
    """A folder of PNG files, a folder for each class: the packaged digits, shifted."""
    images, labels = packaged()
    for row in range(rows):
        number, turn = row % len(images), row // len(images)
        place = folder / str(labels[number])
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.roll(images[number].reshape(28, 28), (turn // 5, turn % 5), (0, 1))
        Image.fromarray(pixels).save(
            place / f"{row}.png", compress_level=zlib.Z_BEST_SPEED
        )
    return folder
