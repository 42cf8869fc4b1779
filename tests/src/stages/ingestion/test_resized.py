"""Photos of many sizes become a snapshot of one shape; without it, they are counted."""

import io

import numpy as np
import pytest
from PIL import Image
from tests.src.stages.ingestion.conftest import read_items

from headrace.errors import SourceError
from headrace.media.image.files import decode_files
from headrace.media.image.form import form_of
from headrace.pipeline import DataSpec
from headrace.settings import Settings
from headrace.stages.ingestion import ingest
from headrace.state.store import Store

SHAPE = (32, 32, 3)


def write_photos(folder, sizes, classes=2):
    rng = np.random.default_rng(len(sizes))
    for place, size in enumerate(sizes):
        path = folder / "abcdef"[place % classes] / f"{place:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        rough = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
        rough.resize(size).save(path)
    return folder


@pytest.fixture
def photos(tmp_path):
    sizes = [(40 + 8 * place, 30 + 6 * place) for place in range(40)]
    return write_photos(tmp_path / "photos", sizes)


def test_all_sizes_become_items_of_the_shape(run, photos):
    record = run(photos, shape=SHAPE, resize="crop")
    assert (sum(record.rows.values()), record.rejected) == (40, 0)
    assert record.description.shape == SHAPE
    assert record.description.options == {"resize": "crop", "filter": "bicubic"}
    note = "40 of 40 items: resized to 32 x 32 pixels by crop"
    assert note in record.notes
    stored = {*read_items(record, ["image"])["image"].to_pylist()}
    files = [path.read_bytes() for path in sorted(photos.rglob("*.jpg"))]
    data = DataSpec(source="x", shape=SHAPE, resize="crop")
    expected = decode_files(files, form_of(data)).items
    assert stored == {item.tobytes() for item in expected}


def test_the_mode_is_part_of_the_digest_where_no_pixel_differs(run, tmp_path):
    folder = write_photos(tmp_path / "photos", [(32, 32)] * 12)
    modes = [{}, {"resize": "crop"}, {"resize": "pad"}]
    records = [run(folder, shape=SHAPE, **mode) for mode in modes]
    assert len({record.digest for record in records}) == 3
    items = [sorted(read_items(r, ["item"])["item"].to_pylist()) for r in records]
    assert items[0] == items[1] == items[2]
    assert not any("resized" in note for record in records for note in record.notes)


def test_more_than_half_enlarged_is_a_warning(run, tmp_path):
    small, large = [(20, 16)] * 13, [(90, 70)] * 12
    record = run(write_photos(tmp_path / "a", small + large), shape=SHAPE, resize="pad")
    [finding] = record.findings
    assert (finding.check, finding.count) == ("enlarged", 13)
    assert finding.message.startswith("13 of 25 items have less than 32 x 32 pixels")
    even = write_photos(tmp_path / "b", small[:12] + large)
    assert run(even, shape=SHAPE, resize="pad").findings == ()


def test_arrays_are_resized_in_small_parts(run, tmp_path, monkeypatch):
    monkeypatch.setattr("headrace.data.decoding.PART_BYTES", 7 * 32 * 32 * 3)
    x = np.random.default_rng(1).integers(0, 256, (30, 9, 12), np.uint8)
    np.savez(tmp_path / "x.npz", x=x, y=np.arange(30) % 2)
    record = run(tmp_path / "x.npz", shape=SHAPE, resize="stretch")
    assert (sum(record.rows.values()), record.rejected) == (30, 0)


def test_the_limit_of_an_item_counts_what_is_kept(tmp_path):
    folder = write_photos(tmp_path / "photos", [(200, 150)] * 12)
    settings, limit = Settings(project=tmp_path), 32 * 32 * 3
    store = Store(str(tmp_path / "store"))
    source = {"source": str(folder), "max_item_bytes": limit}
    data = DataSpec(**source, shape=SHAPE, resize="crop")
    assert ingest(data, "image", store, settings).rejected == 0
    with pytest.raises(SourceError, match="at most 3,072 are taken"):
        ingest(DataSpec(**source), "image", store, settings)


def test_an_image_of_nothing_is_still_a_bomb(tmp_path):
    folder = write_photos(tmp_path / "photos", [(90, 90)] * 4)
    buffer = io.BytesIO()
    Image.new("L", (7000, 6000)).save(buffer, "PNG")
    for place in range(60):
        (folder / "ab"[place % 2] / f"empty{place}.png").write_bytes(buffer.getvalue())
    data = DataSpec(source=str(folder), shape=SHAPE, resize="crop")
    settings, store = Settings(project=tmp_path), Store(str(tmp_path / "store"))
    with pytest.raises(SourceError, match="as decompression bombs do"):
        ingest(data, "image", store, settings)


def test_without_it_other_sizes_are_counted_and_the_field_is_named(run, photos):
    with pytest.raises(SourceError, match=r"\(size: 40\).*data\.resize = .crop."):
        run(photos, shape=SHAPE)
