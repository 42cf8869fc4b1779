"""Ingests small sources."""

import io
from collections.abc import Callable

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from headrace.pipeline import DataSpec
from headrace.records import SnapshotRecord
from headrace.settings import Settings
from headrace.stages.ingestion import ingest
from headrace.state.store import Store

X = np.random.default_rng(5).integers(0, 256, (120, 4, 5), np.uint8)
Y = np.arange(120) % 3
TRAIN, TEST = slice(0, 100), slice(100, 120)

Run = Callable[..., SnapshotRecord]


def write_npz(path, x=X, y=Y, **more):
    np.savez(
        path, x_train=x[TRAIN], y_train=y[TRAIN], x_test=x[TEST], y_test=y[TEST], **more
    )
    return path


def png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def write_pngs(folder, x=X, y=Y):
    for row, (image, label) in enumerate(zip(x, y, strict=True)):
        split = "train" if row < TRAIN.stop else "test"
        path = folder / split / str(label) / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(image))
    return folder


def read_items(record, columns):
    return pq.read_table(f"{record.uri}/items", columns=columns)


@pytest.fixture
def run(tmp_path):
    """Ingests what `source` names; declared fields by keyword."""
    settings = Settings(project=tmp_path)
    store = Store(str(tmp_path / "store"))

    def _run(source, **declared):
        data = DataSpec(source=str(source), **declared)
        return ingest(data, "image", store, settings)

    return _run
