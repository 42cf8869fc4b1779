"""Ingests small sources."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from headrace.records import SnapshotRecord
from headrace.settings import Settings
from headrace.spec import DataSpec
from headrace.stages.ingestion import ingest
from headrace.state.store import Store

X = np.random.default_rng(5).integers(0, 256, (120, 4, 5), np.uint8)
Y = np.arange(120) % 3
TRAIN, TEST = slice(0, 100), slice(100, 120)

Array = npt.NDArray[Any]
Run = Callable[..., SnapshotRecord]


def write_npz(path: Path, x: Array = X, y: Array = Y, **more: Any) -> Path:
    np.savez(
        path, x_train=x[TRAIN], y_train=y[TRAIN], x_test=x[TEST], y_test=y[TEST], **more
    )
    return path


def png(array: Array) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def write_pngs(folder: Path, x: Array = X, y: Array = Y) -> Path:
    for row, (image, label) in enumerate(zip(x, y, strict=True)):
        split = "train" if row < TRAIN.stop else "test"
        path = folder / split / str(label) / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(image))
    return folder


def read_items(record: SnapshotRecord, columns: Sequence[str]) -> pa.Table:
    return pq.read_table(f"{record.uri}/items", columns=columns)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Ingests what `source` names; declared fields by keyword."""
    settings = Settings(project=tmp_path)
    store = Store(str(tmp_path / "store"))

    def _run(source: Any, **declared: Any) -> SnapshotRecord:
        data = DataSpec(source=str(source), **declared)
        return ingest(data, "image", store, settings)

    return _run
