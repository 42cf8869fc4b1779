"""Rows leave the log, once, however often the command was killed."""

import shutil
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.src.serving.requests.some import (
    NOON,
    hour_of,
    ids_of,
    log_rows,
    paths,
    stream,
    write,
)

from headrace.errors import IntegrityError
from headrace.serving.requests import contents, forgetting, settling
from headrace.serving.requests.contents import Stream
from headrace.serving.requests.files import Hour, parquet_of, root_of
from headrace.serving.requests.settling import settle


def is_one(items):
    return np.array([int(item, 16) == 1 for item in items])


def killed(*_, **__):
    raise KeyboardInterrupt


def test_only_the_rows_of_the_item_go(settings):
    stream(settings, [1, 2, 1])
    write(settings, [1], NOON + timedelta(hours=1))
    others = [write(settings, [3]), stream(settings, [4])]
    write(settings, [1, 4], model="messages")
    assert forgetting.count(settings, is_one) == {"digits": 3, "messages": 1}
    assert forgetting.take_out(settings, is_one) == {"digits": 3, "messages": 1}
    assert ids_of(settings) == [2, 3, 4]
    assert ids_of(settings, "messages") == [4]
    assert {*others} < {*paths(settings)}, "they stay as they are"
    assert forgetting.take_out(settings, is_one) == {}


def test_a_server_goes_on_in_another_stream(settings):
    made = Stream(hour_of(settings), log_rows([]).schema)
    made.append(log_rows([1, 2]))
    assert forgetting.take_out(settings, is_one) == {"digits": 1}
    assert not made.append(log_rows([3]))
    assert ids_of(settings) == [2]


@pytest.mark.parametrize("kind", [stream, write])
@pytest.mark.parametrize("name", ["unlink", "replace"])
def test_rows_go_once_where_the_command_was_killed(settings, monkeypatch, kind, name):
    kind(settings, [1, 2, 3])
    with monkeypatch.context() as patch:
        patch.setattr(Path, name, killed)
        with pytest.raises(KeyboardInterrupt):
            forgetting.take_out(settings, is_one)
            killed()  # a Parquet file is replaced, none is deleted
    forgetting.take_out(settings, is_one)
    assert ids_of(settings) == [2, 3]
    assert len(paths(settings)) == 1


def test_what_a_killed_process_has_settled_does_not_come_back(settings):
    path = stream(settings, [1, 2])
    kept = path.with_suffix(".kept")
    shutil.copy(path, kept)
    settle(path)
    kept.rename(path)  # and it was killed before it deleted it
    assert ids_of(settings) == [1, 2]
    assert forgetting.take_out(settings, is_one) == {"digits": 1}
    assert ids_of(settings) == [2]
    assert paths(settings) == [parquet_of(path)]


def test_a_row_group_is_held_at_a_time(settings, monkeypatch):
    for module in (contents, settling):
        monkeypatch.setattr(module, "GROUP_ROWS", 2)
    path = write(settings, [0, 1, 2, 1, 3, 1, 4, 1])
    assert pq.ParquetFile(path).num_row_groups > 3
    assert forgetting.take_out(settings, is_one) == {"digits": 4}
    assert ids_of(settings) == [0, 2, 3, 4]


@pytest.mark.parametrize("work", [forgetting.count, forgetting.take_out])
def test_rows_are_found_while_a_server_settles_their_files(settings, monkeypatch, work):
    for items in ([1, 2], [1], [3]):
        stream(settings, items)

    listed, once = Hour.files, iter([NOON + timedelta(hours=2)])

    def settled(hour):
        found = listed(hour)
        for later in once:
            settling.settle_all(root_of(settings.home), later)
        return found

    monkeypatch.setattr(Hour, "files", settled)
    assert work(settings, is_one) == {"digits": 2}


@pytest.mark.parametrize("kind", [stream, write])
def test_a_file_that_cannot_be_read_is_named(settings, kind):
    path = kind(settings, [1, 2])
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + b"\xff" * (len(data) // 2))
    with pytest.raises(IntegrityError, match=rf"{path.name} cannot be read"):
        forgetting.take_out(settings, is_one)
    with pytest.raises(IntegrityError, match=rf"{path.name} cannot be read"):
        forgetting.count(settings, is_one)


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
        forgetting.take_out(settings, is_one)
