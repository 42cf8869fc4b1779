"""Files that have an item leave the log, whole."""

import shutil
from datetime import timedelta

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.src.serving.requests.some import (
    NOON,
    hour_of,
    log_rows,
    paths,
    stream,
    write,
)

from headrace.errors import IntegrityError
from headrace.serving.requests import forgetting, settling
from headrace.serving.requests.contents import Stream
from headrace.serving.requests.files import Hour, parquet_of, root_of
from headrace.serving.requests.settling import settle


def is_one(items):
    return np.array([int(item, 16) == 1 for item in items])


def test_only_files_that_have_the_item_go(settings):
    with_it = [
        stream(settings, [1, 2, 1]),
        write(settings, [1], NOON + timedelta(hours=1)),
    ]
    others = [write(settings, [3]), stream(settings, [4])]
    of_messages = write(settings, [1, 4], model="messages")
    found = forgetting.find_files(settings, is_one)
    assert {*found} == {"digits", "messages"}
    assert ({*found["digits"]}, found["messages"]) == ({*with_it}, [of_messages])
    assert forgetting.delete_files(settings, is_one) == 3
    assert {*paths(settings)} == {*others}, "they stay as they are"
    assert forgetting.delete_files(settings, is_one) == 0


def test_a_server_goes_on_in_another_stream(settings):
    made = Stream(hour_of(settings), log_rows([]).schema)
    made.append(log_rows([1, 2]))
    assert forgetting.delete_files(settings, is_one) == 1
    assert not made.append(log_rows([3]))
    assert paths(settings) == []


def test_what_a_killed_process_has_settled_or_begun_to_does_not_stay(settings):
    path = stream(settings, [1, 2])
    begun = path.with_name(f".{parquet_of(path).name}.1")
    kept = path.with_suffix(".kept")
    shutil.copy(path, kept)
    settle(path)
    kept.rename(path)  # and it was killed before it deleted it
    begun.write_bytes(b"")
    assert forgetting.delete_files(settings, is_one) == 2
    assert [*path.parent.iterdir()] == []


@pytest.mark.parametrize("work", [forgetting.find_files, forgetting.delete_files])
def test_items_are_found_while_a_server_settles_their_files(
    settings, monkeypatch, work
):
    for items in ([1, 2], [1], [3]):
        stream(settings, items)

    listed, once = Hour.files, iter([NOON + timedelta(hours=2)])

    def settled(hour):
        found = listed(hour)
        for later in once:
            settling.settle_all(root_of(settings.home), later)
        return found

    monkeypatch.setattr(Hour, "files", settled)
    found = work(settings, is_one)
    assert (found if isinstance(found, int) else len(found["digits"])) == 2


@pytest.mark.parametrize("kind", [stream, write])
def test_a_file_that_cannot_be_read_is_named(settings, kind):
    path = kind(settings, [1, 2])
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + b"\xff" * (len(data) // 2))
    with pytest.raises(IntegrityError, match=rf"{path.name} cannot be read"):
        forgetting.delete_files(settings, is_one)
    with pytest.raises(IntegrityError, match=rf"{path.name} cannot be read"):
        forgetting.find_files(settings, is_one)


def test_a_file_with_damaged_rows_is_named(settings):
    path = write(settings, [1])
    data = bytearray(path.read_bytes())
    file = pq.ParquetFile(path)
    place = file.schema_arrow.get_field_index("item")
    column = file.metadata.row_group(0).column(place)
    start = column.dictionary_page_offset or column.data_page_offset
    length = column.total_compressed_size
    data[start : start + length] = b"\xff" * length
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match=rf"{path.name} cannot be read"):
        forgetting.delete_files(settings, is_one)
