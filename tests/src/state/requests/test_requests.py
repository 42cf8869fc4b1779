"""Parts of the log: which rows are read, which parts expire or have an item."""

from datetime import date, timedelta, timezone
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.src.state.requests.some import NOON, ids_of, log_rows, write

from headrace.errors import IntegrityError
from headrace.state import requests as parts
from headrace.state.requests import (
    SCHEMA,
    Asked,
    days,
    expire,
    hours_backwards,
    parts_with,
    read_requests,
    write_part,
)


def is_one(items):
    return np.array([int(item, 16) == 1 for item in items])


def damage(store, key):
    path = Path(store.path(key))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + b"\xff" * (len(data) // 2))


def test_rows_are_chosen_by_version_role_and_time(store):
    write(store, [1, 2])
    write(store, [3], version=3, role="try")
    write(store, [4], version=3, role="shadow")
    write(store, [5], NOON + timedelta(hours=1))
    write(store, [6], model="messages")
    assert ids_of(store) == [1, 2, 3, 4, 5]
    assert ids_of(store, version=3) == [3, 4]
    assert ids_of(store, version=3, role="try") == [3]
    assert ids_of(store, since=NOON + timedelta(seconds=2)) == [2, 3, 4, 5]
    assert ids_of(store, since=NOON + timedelta(hours=1)) == [5]
    assert ids_of(store, "messages") == [6]
    assert ids_of(store, "unknown") == []


def test_a_moment_has_a_time_zone_of_its_own(store):
    write(store, [1, 2])
    local = (NOON + timedelta(seconds=2)).astimezone(timezone(timedelta(hours=-7)))
    assert ids_of(store, since=local) == [2]


def test_the_newest_hour_comes_first_or_last_as_is_asked(store):
    for number, hours in enumerate((1, 0, 30)):
        write(store, [number], NOON + timedelta(hours=hours))
    asked = Asked("digits", columns=["request_id", "version"])
    newest = [
        [t["request_id"][0].as_py() for t in h] for h in hours_backwards(asked, store)
    ]
    assert newest == [["2"], ["0"], ["1"]]
    oldest = [*read_requests(asked, store)]
    assert [table["request_id"][0].as_py() for table in oldest] == ["1", "0", "2"]
    assert oldest[0].schema.names == ["request_id", "version"]


def test_a_part_has_the_form_of_its_rows_whatever_they_repeat(store):
    write(store, [1, 2])
    (table,) = read_requests(Asked("digits"), store)
    assert table.schema.equals(SCHEMA)
    assert table.equals(log_rows([1, 2]))


def test_a_damaged_part_is_left_out_and_named_or_an_error(store):
    write(store, [1])
    key, left_out = write(store, [2]), dict[str, None]()
    damage(store, key)
    assert ids_of(store, left_out=left_out) == [1]
    (why,) = left_out
    assert f"{key} cannot be read" in why and why.endswith("It is left out.")
    with pytest.raises(IntegrityError, match=rf"{key} cannot be read"):
        ids_of(store)


def test_parts_that_are_deleted_while_they_are_read_are_passed_over(store, monkeypatch):
    monkeypatch.setattr(parts, "_PARTS_AT_ONCE", 1)
    keys = [write(store, [number]) for number in (1, 2)]
    tables = read_requests(Asked("digits"), store)
    next(tables)
    for key in keys:
        store.delete(key)
    assert [*tables] == []


def test_what_is_no_part_is_not_read(store):
    key = write(store, [1])
    for name in ("notes.txt", f".{key.rpartition('/')[2]}.0f"):
        store.write(f"{key.rpartition('/')[0]}/{name}", b"?")
    store.write("requests/digits/notes/12/a.parquet", b"?")
    store.write("requests/notes.parquet", b"?")
    assert ids_of(store) == [1]
    assert [day for _, day in days(store)] == [NOON.date()]


@pytest.mark.parametrize("keep_days", [1, 2, 30])
def test_days_are_kept_for_some_days(store, keep_days):
    for age in range(35):
        write(store, [age], NOON - timedelta(days=age))
    write(store, [0], NOON - timedelta(days=34), "messages")
    for _ in range(2):
        expire(store, keep_days, NOON.date())
        assert ids_of(store) == list(range(keep_days))
        assert ids_of(store, "messages") == []


def test_nothing_but_days_expires(store):
    expire(store, 1)  # there is no log yet
    write(store, [1])
    store.write("requests/digits/2020-notes/a", b"?")
    expire(store, 1, date(2030, 1, 1))
    assert store.keys() == ["requests/digits/2020-notes/a"]


def test_parts_that_have_an_item_are_found_by_model(store):
    own = {write(store, [1, 2, 1]), write(store, [1], NOON + timedelta(hours=1))}
    write(store, [3])
    of_messages = write(store, [1, 4], model="messages")
    found = parts_with(store, is_one)
    assert {*found.pop("digits")} == own
    assert found == {"messages": [of_messages]}


def test_a_part_that_cannot_be_searched_is_named(store):
    key = write(store, [1])
    path = Path(store.path(key))
    data, file = bytearray(path.read_bytes()), pq.ParquetFile(path)
    place = file.schema_arrow.get_field_index("item")
    column = file.metadata.row_group(0).column(place)
    start = column.dictionary_page_offset or column.data_page_offset
    length = column.total_compressed_size
    data[start : start + length] = b"\xff" * length
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match=rf"{key} cannot be read"):
        parts_with(store, is_one)


def test_more_parts_are_read_than_at_once(store):
    for number in range(20):
        write(store, [number])
    assert ids_of(store) == [*range(20)]


def test_a_part_can_be_written_again_under_its_key(store):
    key = write(store, [1])
    write_part(store, key, log_rows([1, 2]))
    assert ids_of(store) == [1, 2]
