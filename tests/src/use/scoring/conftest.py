"""Forty images, as arrays and as files, and their scores by the champion."""

import hashlib
import io
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from headrace.models.logged.loading import load_champion
from headrace.use import scoring

Trained = Any

CHANCES = ["probability_0", "probability_1", "probability_2"]
COLUMNS = ["name", "item", "label", "probability", *CHANCES]
COLUMNS += ["model", "version", "data_digest", "error"]
X = np.random.default_rng(7).integers(0, 256, (40, 8, 8), np.uint8)


def read(uri):
    reader = pd.read_csv if str(uri).endswith(".csv") else pd.read_parquet
    frame = reader(str(uri))
    return frame


def png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def sha(data):
    return hashlib.sha256(data).hexdigest()


def left_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def champion(_trained):
    return load_champion("blobs", _trained.settings)


@pytest.fixture
def score(_trained, out):
    """Scores a source; returns the record and the output, by default Parquet."""

    def _score(source, output=None):
        place = output or out / "scores.parquet"
        record = scoring.score("blobs", str(source), str(place), _trained.settings)
        return record, read(place)

    return _score


@pytest.fixture
def arrays(tmp_path):
    np.savez(tmp_path / "x.npz", x=X)
    return tmp_path / "x.npz"


@pytest.fixture
def folder(tmp_path):
    """40 images, and among them three that cannot be scored."""
    images = tmp_path / "images"
    images.mkdir()
    for row, image in enumerate(X):
        (images / f"{row:02}.png").write_bytes(png(image))
    (images / "05.broken.png").write_bytes(png(X[0])[:60])
    (images / "10.red.png").write_bytes(png(np.full((8, 8, 3), (9, 0, 0), np.uint8)))
    (images / "20.big.png").write_bytes(png(np.zeros((9, 8), np.uint8)))
    (images / "README.md").write_text("about")
    return images
