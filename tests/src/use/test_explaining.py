"""What cannot be explained is told."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from headrace.errors import SourceError
from headrace.use.explaining import explain


@pytest.mark.parametrize(("rows", "count"), [(0, "no item"), (2, "more than one item")])
def test_a_source_has_one_item(_trained, tmp_path, rows, count):
    file = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(file, "PNG")
    images = pa.array([file.getvalue()] * rows, pa.binary())
    pq.write_table(pa.table({"image": images}), tmp_path / "x.parquet")
    with pytest.raises(SourceError, match=rf"x.parquet has {count}\."):
        explain("blobs", str(tmp_path / "x.parquet"), _trained.settings)
