from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.data.sources.places.files import local_file
from headrace.data.sources.tables import parquet
from headrace.data.sources.tables.parquet_file import (
    BATCH_BYTES,
    Opened,
    rows_that_fit,
)
from headrace.data.sources.tables.parquet_pages import (
    PageError,
    chunks_of,
    read_footer,
    scan,
    schema_size,
)
from headrace.errors import SourceError
from headrace.settings import Settings


def _file(table: pa.Table, **options) -> io.BytesIO:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer


def _same(value, rows: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows), pa.array([value]))


def _chunks(buffer: io.BytesIO):
    return chunks_of(read_footer(buffer, len(buffer.getvalue())))


def _fitting(path, table: pa.Table, column: str, **options) -> int:
    pq.write_table(table, path, **options)
    file = local_file(path, str(path), path.stat().st_size)
    with file.open() as stream:
        footer = read_footer(stream, file.size)
        opened = Opened(file, stream, pq.ParquetFile(path), Settings(), footer, {})
        return rows_that_fit(opened, [column])


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "zstd", "brotli", "lz4"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_pages_tell_the_longest_value_of_a_dictionary(codec, version):
    texts = pa.array(["a", "bb" * 500, "ccc"] * 40)
    options = {"compression": codec, "data_page_version": version}
    buffer = _file(pa.table({"text": texts, "n": range(120)}), **options)
    (group,) = _chunks(buffer)
    pages = scan(buffer, group[0], 2**20)
    assert (sum(pages.values), pages.dictionary, sum(pages.sizes)) == (120, 1000, 0)
    assert pages.largest >= 1000


def test_pages_without_a_dictionary_tell_their_size():
    texts = pa.array([f"{row:04}" for row in range(1000)])
    options = {"compression": "none", "use_dictionary": False, "row_group_size": 600}
    buffer = _file(pa.table({"text": texts}), **options)
    found = [scan(buffer, group[0], 2**20) for group in _chunks(buffer)]
    assert [sum(pages.values) for pages in found] == [600, 400]
    assert [pages.dictionary for pages in found] == [0, 0]
    # Four bytes of text and four of its length; and whether it is null.
    assert 4800 <= sum(found[0].sizes) < 4900


def test_the_footer_tells_what_pyarrow_tells():
    table = pa.table({"a": [1, 2], "b": [["x"], []], "c": [{"d": 1.5, "e": b""}] * 2})
    buffer = _file(table, row_group_size=1)
    facts = pq.ParquetFile(buffer).metadata
    assert schema_size(read_footer(buffer, len(buffer.getvalue()))) == 8
    for number, group in enumerate(_chunks(buffer)):
        assert len(group) == facts.num_columns
        for place, chunk in enumerate(group):
            other = facts.row_group(number).column(place)
            assert chunk.values == other.num_values
            assert chunk.size == other.total_compressed_size
            assert chunk.place == other.dictionary_page_offset or other.data_page_offset


@pytest.mark.parametrize(
    "data", [b"", b"\x15", b"\x19\xfc", b"\xff" * 40, b"\x1c" * 99]
)
def test_what_is_no_footer_is_an_error(data):
    assert schema_size(data) == 0
    with pytest.raises(PageError):
        chunks_of(data)


def test_rows_are_few_where_a_value_is_long(tmp_path):
    path = tmp_path / "a.parquet"
    short = pa.table({"text": _same("a", 5000)})
    assert _fitting(path, short, "text") > 5000
    long = pa.table({"text": _same("a" * 2**20, 5000)})
    assert 16 <= _fitting(path, long, "text") <= BATCH_BYTES // 2**20


def test_rows_are_few_where_long_values_lie_behind_short_ones(tmp_path):
    cells = ["a"] * 4000 + ["b" * 2**20] * 200
    options = {"use_dictionary": False, "row_group_size": 100}
    table = pa.table({"text": pa.array(cells)})
    assert _fitting(tmp_path / "a.parquet", table, "text", **options) <= 64


def test_a_schema_of_too_many_columns_is_not_looked_at(tmp_path, monkeypatch):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({f"c{place}": [1] for place in range(90)}), path)
    file = local_file(path, "a.parquet", path.stat().st_size)
    monkeypatch.setattr(pq, "ParquetFile", None)
    with (
        pytest.raises(
            SourceError, match=r"a.parquet has 22 columns or more; the limit is 9"
        ),
        parquet.opened(file, Settings(max_columns=9)),
    ):
        pass


def test_a_value_that_is_too_large_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("headrace.data.sources.tables.parquet_file.LINE_LIMIT", 99)
    table = pa.table({"n": range(4), "text": ["a", "b", "c" * 100, "d"]})
    with pytest.raises(SourceError, match=r"column text in row group 1 has 100 bytes"):
        _fitting(tmp_path / "a.parquet", table, "text", row_group_size=2)
