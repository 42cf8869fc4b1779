"""Windows of data."""

import hashlib

import numpy as np
import pytest
from PIL import Image
from tests.blobs import blobs

from headrace.errors import SourceError
from headrace.media import chunks
from headrace.models.logged.loading import load_champion
from headrace.monitoring import from_data
from headrace.monitoring.from_data import WindowData, batch_from_data


@pytest.fixture
def loaded(watched):
    return load_champion("blobs", watched)


def test_the_last_rows_are_answered_with_their_labels(
    write_window, loaded, watched, monkeypatch
):
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 16)
    images, labels = blobs(100, 3)
    path = write_window("all", 100, 3)
    batch = batch_from_data(WindowData(str(path)), loaded, 41, watched)
    last = images[-41:, ..., np.newaxis]
    assert np.array_equal(batch.inputs, last)
    assert batch.labels.tolist() == [str(label) for label in labels[-41:]]
    assert batch.items[0] == hashlib.sha256(last[0].tobytes()).hexdigest()
    assert np.allclose(batch.outputs, loaded(last), atol=1e-6)
    assert batch.ids["name"][-1] == "x_test[99]"
    assert "59 earlier rows of the source were left out" in batch.notes
    assert np.allclose(batch.columns["mean"], last.mean(axis=(1, 2, 3)))


def test_items_in_memory_are_bounded(write_window, loaded, watched, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 16)
    monkeypatch.setattr(from_data, "MOST_BYTES", 32 * 64)
    batch = batch_from_data(
        WindowData(str(write_window("all", 100))), loaded, 90, watched
    )
    assert 16 <= len(batch) <= 36
    assert f"{100 - len(batch)} earlier rows of the source were left out" in batch.notes


def test_items_that_cannot_be_decoded_are_counted(loaded, watched, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number, image in enumerate(blobs(5)[0]):
        Image.fromarray(image).save(folder / f"{number}.png")
    (folder / "2.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    batch = batch_from_data(WindowData(str(folder)), loaded, 1000, watched)
    assert (len(batch), batch.failed) == (4, 1)
    assert set(batch.labels) == {""}
    for path in folder.iterdir():
        path.write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(SourceError, match="None of the 5 items"):
        batch_from_data(WindowData(str(folder)), loaded, 1000, watched)
