"""Forty images, as arrays and as files, and their scores by the champion."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from PIL import Image

from headrace.models.logged.loading import LoadedModel, load_champion
from headrace.use import scoring
from headrace.use.scoring import ScoringRecord

Trained = Any
Images = npt.NDArray[np.uint8]
Score = Callable[..., tuple[ScoringRecord, pd.DataFrame]]

CHANCES = ["probability_0", "probability_1", "probability_2"]
COLUMNS = ["name", "item", "label", "probability", *CHANCES]
COLUMNS += ["model", "version", "data_digest", "error"]
X: Images = np.random.default_rng(7).integers(0, 256, (40, 8, 8), np.uint8)


def read(uri: Any) -> pd.DataFrame:
    reader = pd.read_csv if str(uri).endswith(".csv") else pd.read_parquet
    frame: pd.DataFrame = reader(str(uri))
    return frame


def png(array: Images) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def champion(_trained: Trained) -> LoadedModel:
    return load_champion("blobs", _trained.settings)


@pytest.fixture
def score(_trained: Trained, out: Path) -> Score:
    """Scores a source; returns the record and the output, by default Parquet."""

    def _score(source: Any, output: Any = None) -> tuple[ScoringRecord, pd.DataFrame]:
        place = output or out / "scores.parquet"
        record = scoring.score("blobs", str(source), str(place), _trained.settings)
        return record, read(place)

    return _score


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    np.savez(tmp_path / "x.npz", x=X)
    return tmp_path / "x.npz"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
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
