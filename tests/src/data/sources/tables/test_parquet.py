import os
import signal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.data.sources.places.files import in_memory, local_file
from headrace.data.sources.tables import parquet
from headrace.data.sources.tables.parquet import ParquetTable
from headrace.data.sources.tables.parquet_decoding import BATCH_BYTES
from headrace.errors import DependencyError, SourceError
from headrace.settings import Settings

SETTINGS = Settings(max_ratio=10**6, max_file_bytes=4 * 2**20)


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


def _send(number):
    os.kill(parquet._guarded._process.pid, number)


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
    table = ParquetTable(file, Settings(max_ratio=10**6, max_file_bytes=2**25))
    with pytest.raises(
        SourceError, match=r"a.parquet cannot .* at row 8 .*over 33,554,432"
    ):
        list(table.read(["text"]))


def test_a_list_of_few_bytes_and_many_values_is_not_decoded(write):
    values = pa.array([0], pa.uint8()).take(pa.array([0] * 9_000_000, pa.int32()))
    cells = pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)
    table = ParquetTable(write(pa.table({"image": cells})), SETTINGS)
    with pytest.raises(SourceError, match=r"row 1 \(columns image\).*67,108,864 bytes"):
        list(table.read(["image"]))


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


def test_a_pinned_file_needs_no_process(write, monkeypatch):
    monkeypatch.setattr(parquet, "_guarded", None)
    data = write(pa.table({"n": range(9)})).read()
    table = ParquetTable(in_memory("a.parquet", data, is_pinned=True), SETTINGS)
    assert _cells(table.read(["n"])) == list(range(9))


@pytest.mark.parametrize("end", [signal.SIGSEGV, signal.SIGABRT, signal.SIGALRM])
def test_a_crash_and_a_quiet_end_change_no_rows(write, end):
    file = write(pa.table({"n": range(5000)}), row_group_size=900)
    rows = ParquetTable(file, SETTINGS).read(["n"], at_once=512)
    some = [next(rows), next(rows)]
    _send(end)
    assert _cells([*some, *rows]) == list(range(5000))


def test_a_process_that_others_have_killed_is_no_fault_of_the_data(write):
    table = ParquetTable(write(pa.table({"n": range(9)})), SETTINGS)
    _send(signal.SIGKILL)
    with pytest.raises(
        DependencyError, match="decodes Parquet files was killed by signal 9"
    ):
        list(table.read(["n"]))
    assert _cells(table.read(["n"])) == list(range(9))


def test_a_process_that_hangs_is_no_fault_of_the_data(write, monkeypatch):
    table = ParquetTable(write(pa.table({"n": range(9)})), SETTINGS)
    monkeypatch.setattr(parquet, "_SECONDS", 0.2)
    _send(signal.SIGSTOP)
    with pytest.raises(DependencyError, match="did not answer within"):
        list(table.read(["n"]))
