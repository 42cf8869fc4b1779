"""What cannot be explained is told."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from headrace.errors import SourceError
from headrace.use import explaining
from headrace.use.explaining import explain


@pytest.mark.parametrize(("rows", "count"), [(0, "no item"), (2, "more than one item")])
def test_a_source_has_one_item(_trained, tmp_path, rows, count):
    file = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(file, "PNG")
    images = pa.array([file.getvalue()] * rows, pa.binary())
    pq.write_table(pa.table({"image": images}), tmp_path / "x.parquet")
    with pytest.raises(SourceError, match=rf"x.parquet has {count}\."):
        explain("blobs", str(tmp_path / "x.parquet"), _trained.settings)


def test_a_page_has_some_items_of_each_sub_folder(
    _trained, tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr(explaining, "_MOST_ITEMS", 5)
    for folder, count in (("bild", 4), ("foto", 4), ("scan", 1)):
        for number in range(count):
            place = tmp_path / "data" / folder / f"{number}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((8, 8), number, np.uint8)).save(place)
    data, output = str(tmp_path / "data"), tmp_path / "x.html"
    explained = explain("blobs", data, _trained.settings, output=output)
    names = ["bild/0.png", "foto/0.png", "scan/0.png", "bild/1.png", "foto/1.png"]
    assert [one.name for one in explained] == names
    said = "has more than 5 items; the first of each sub-folder are explained"
    assert said in caplog.text
