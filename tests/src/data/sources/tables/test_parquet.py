import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.data.sources.places.files import in_memory, local_file
from headrace.data.sources.tables.parquet import BATCH_BYTES, ParquetTable
from headrace.errors import LimitError, SourceError
from headrace.settings import Settings

SETTINGS = Settings(max_file_bytes=4 * 2**20)


@pytest.fixture
def write(tmp_path):
    def write(table, **options):
        path = tmp_path / "a.parquet"
        pq.write_table(table, path, **options)
        return local_file(path, "a.parquet", path.stat().st_size)

    return write


def _same(value, rows):
    """One value in all rows, which is stored once."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows), pa.array([value]))


def _cells(rows, column="n"):
    return [cell for some in rows for cell in some.batch.column(column).to_pylist()]


def test_rows_are_few_where_one_value_takes_the_memory_of_all(write):
    columns = {"text": _same("a" * 2**19, 300), "n": range(300)}
    table = ParquetTable(write(pa.table(columns), row_group_size=70), SETTINGS)
    some = list(table.read(["n", "text"]))
    assert _cells(some) == list(range(300))
    assert max(rows.batch.nbytes for rows in some) <= BATCH_BYTES
    assert {len(cell) for cell in _cells(some[:2], "text")} == {2**19}


def test_a_row_that_is_too_large_is_named(write):
    texts = ["a"] * 7 + ["b" * (BATCH_BYTES + 1), "c"]
    file = write(pa.table({"text": texts}), use_dictionary=False, row_group_size=7)
    table = ParquetTable(file, Settings(max_file_bytes=2**25))
    with pytest.raises(LimitError, match=r"a.parquet has .* row 8 .* is 50,331,648"):
        list(table.read(["text"]))


def test_a_list_of_few_bytes_and_many_values_is_not_decoded(write):
    values = pa.array(np.zeros(6_000_000, np.uint8))
    cells = pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)
    table = ParquetTable(write(pa.table({"image": cells})), SETTINGS)
    with pytest.raises(LimitError, match=r"72,000,000 bytes of image.* row 1; "):
        list(table.read(["image"]))


def test_bytes_and_lists_of_texts_that_are_stored_once_come_back(write):
    picture = _same(b"a" * 2**21, 40)
    files = pa.StructArray.from_arrays(
        [picture.dictionary_decode(), pa.array(["p"] * 40)], ["bytes", "path"]
    )
    tags = pa.array([["x", None], None, [], ["y"]] * 10)
    table = ParquetTable(write(pa.table({"image": files, "tags": tags})), SETTINGS)
    some = list(table.read(["image", "tags"]))
    assert max(rows.batch.nbytes for rows in some) <= BATCH_BYTES
    assert _cells(some, "tags") == tags.to_pylist()
    assert {(len(one["bytes"]), one["path"]) for one in _cells(some, "image")} == {
        (2**21, "p")
    }


def test_a_long_list_of_a_text_that_is_stored_once_is_refused(write):
    tags = [["a" * 2**20] * 60]
    table = ParquetTable(write(pa.table({"tags": tags}), store_schema=False), SETTINGS)
    with pytest.raises(LimitError, match=r"62,914,560 bytes in row 1 \(columns tags"):
        list(table.read(["tags"]))


def test_a_low_limit_on_rows_leaves_memory_for_small_ones(write):
    table = ParquetTable(write(pa.table({"n": range(9)})), Settings(max_file_bytes=99))
    assert _cells(table.read(["n"])) == list(range(9))


def test_too_many_columns_are_refused(write):
    file = write(pa.table({f"c{place}": [1] for place in range(4097)}))
    with pytest.raises(SourceError, match=r"a.parquet has 4,097 columns .* is 4,096"):
        ParquetTable(file, SETTINGS)


def test_a_file_that_is_not_on_this_disk_is_read(write):
    file = write(pa.table({"n": range(5000)}), row_group_size=1000)
    table = ParquetTable(in_memory("a.parquet", file.read()), SETTINGS)
    assert _cells(table.read(["n"], at_once=700)) == list(range(5000))


def test_a_damaged_file_is_told(write):
    data = write(pa.table({"text": [f"text {n}" for n in range(900)]})).read()
    with pytest.raises(SourceError, match=r"a.parquet is a damaged Parquet file"):
        ParquetTable(in_memory("a.parquet", data[:-9]), SETTINGS)
    table = ParquetTable(
        in_memory("a.parquet", b"PAR1" + bytes(396) + data[400:]), SETTINGS
    )
    with pytest.raises(SourceError, match=r"a.parquet is a damaged Parquet file"):
        list(table.read(["text"]))
