"""Reading the log: which rows, and beside processes that write and delete."""

import logging
from datetime import timedelta

import pyarrow as pa
import pytest
from tests.src.serving.requests.some import NOON, ids_of, stream, write

from headrace.errors import DependencyError
from headrace.serving.requests import logged_models, read_requests, request_table
from headrace.serving.requests.columns import SCHEMA
from headrace.serving.requests.files import Hour
from headrace.serving.requests.reading import Asked


def test_rows_are_chosen_by_version_role_and_time(settings):
    stream(settings, [1, 2])
    write(settings, [3], version=3, role="try")
    write(settings, [4], version=3, role="shadow")
    write(settings, [5], NOON + timedelta(hours=1))
    write(settings, [6], model="messages")
    assert ids_of(settings) == [1, 2, 3, 4, 5]
    assert ids_of(settings, version=3) == [3, 4]
    assert ids_of(settings, version=3, role="try") == [3]
    assert ids_of(settings, since=NOON + timedelta(seconds=2)) == [2, 3, 4, 5]
    assert ids_of(settings, until=NOON + timedelta(seconds=2)) == [1]
    assert ids_of(settings, since=NOON + timedelta(hours=1)) == [5]
    assert ids_of(settings, until=NOON) == []
    assert ids_of(settings, "messages") == [6]
    assert ids_of(settings, "unknown") == []
    assert logged_models(settings) == ["digits", "messages"]


def test_a_moment_has_a_time_zone_of_its_own(settings):
    from datetime import timezone

    write(settings, [1, 2])
    local = (NOON + timedelta(seconds=2)).astimezone(timezone(timedelta(hours=-7)))
    assert ids_of(settings, since=local) == [2]


def test_a_table_is_sorted_by_time(settings):
    write(settings, [9, 3])
    write(settings, [7, 5])
    table = request_table(Asked("digits"), settings)
    assert table["request_id"].to_pylist() == ["3", "5", "7", "9"]
    only = request_table(Asked("digits", columns=["answer", "request_id"]), settings)
    assert only.schema.names == ["answer", "request_id"]
    assert only["request_id"].to_pylist() == ["3", "5", "7", "9"]


def test_without_rows_a_table_has_its_columns(settings):
    assert request_table(Asked("digits"), settings).schema == SCHEMA
    some = request_table(Asked("digits", columns=["item"]), settings)
    assert some.schema.names == ["item"]


def test_a_column_that_some_files_lack_is_null_there(settings):
    write(settings, [1])
    path = write(settings, [2])
    table = pa.parquet.read_table(path).append_column("input", [[b"x"]])
    pa.parquet.write_table(table, path)
    both = request_table(Asked("digits"), settings)
    assert both["input"].to_pylist() == [None, b"x"]


def test_a_damaged_file_is_left_out_with_a_warning(settings, caplog):
    write(settings, [1])
    write(settings, [2]).write_bytes(b"PAR1 and no more")
    torn = stream(settings, [2])
    torn.write_bytes(torn.read_bytes() + bytes(64))
    path = write(settings, range(3, 2000))
    data = bytearray(path.read_bytes())
    data[4:200] = bytes(196)
    path.write_bytes(data)
    with caplog.at_level(logging.WARNING):
        assert ids_of(settings) == [1, 2], "what comes before is read"
    assert caplog.text.count("cannot be read") == 3
    assert caplog.text.count("It is left out") == 3


def test_files_that_go_while_they_are_opened_are_looked_for_again(
    settings, monkeypatch
):
    gone, write_once = write(settings, [1]), iter([1])
    listed = Hour.paths

    def slow(self):
        paths = listed(self)
        for number in write_once:  # another process replaces the file right now
            gone.unlink()
            write(settings, [number, 2])
        return paths

    monkeypatch.setattr(Hour, "paths", slow)
    assert ids_of(settings) == [1, 2]


def test_files_that_always_go_are_an_error(settings, monkeypatch):
    path = write(settings, [1])
    monkeypatch.setattr(Hour, "paths", lambda _: [path.with_name("12-gone.parquet")])
    with pytest.raises(DependencyError, match=r"2026-11-27 were replaced 20 times"):
        ids_of(settings)


def test_rows_can_be_read_while_their_day_is_deleted(settings):
    import shutil

    path = write(settings, [1])
    write(settings, [2])
    tables = read_requests(Asked("digits"), settings)
    first = next(tables)
    shutil.rmtree(path.parent)
    rest = [table["request_id"][0].as_py() for table in tables]
    assert sorted([first["request_id"][0].as_py(), *rest]) == ["1", "2"]
