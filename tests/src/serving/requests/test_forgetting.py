"""Rows leave the log, once, however often the command was killed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.src.serving.requests.some import NOON, ids_of, paths, write

from headrace.errors import IntegrityError
from headrace.serving.requests import forgetting, merging
from headrace.serving.requests.files import Hour, hours, new_file, root_of
from headrace.settings import Settings


def is_one(items: Sequence[str]) -> np.ndarray:
    return np.array([int(item, 16) == 1 for item in items])


def test_only_the_rows_of_the_item_go(settings: Settings) -> None:
    write(settings, [1, 2, 1])
    write(settings, [1], NOON + timedelta(hours=1))
    write(settings, [3])
    write(settings, [1, 4], model="messages")
    assert forgetting.take_out(settings, is_one) == {"digits": 3, "messages": 1}
    assert ids_of(settings) == [2, 3]
    assert ids_of(settings, "messages") == [4]
    assert forgetting.take_out(settings, is_one) == {}


def test_rows_that_stay_count_once_after_a_command_that_was_killed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(settings, [1, 2, 3])
    with monkeypatch.context() as patch:
        patch.setattr(type(path), "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            forgetting.take_out(settings, is_one)
    assert len(paths(settings)) == 2
    assert forgetting.take_out(settings, is_one) == {}
    assert ids_of(settings) == [2, 3]
    assert len(paths(settings)) == 1


def test_what_a_killed_merge_has_replaced_does_not_come_back(
    settings: Settings,
) -> None:
    parts = [write(settings, [1, 2]), write(settings, [3])]
    hour = Hour.of(root_of(settings.home), "digits", NOON)
    schema = pq.read_schema(parts[0])
    with new_file(hour, schema, [path.name for path in parts]) as writer:
        for path in parts:  # and it was killed before it deleted them
            writer.write_table(pq.read_table(path))
    assert forgetting.take_out(settings, is_one) == {"digits": 1}
    assert ids_of(settings) == [2, 3]
    assert len(paths(settings)) == 1


def test_a_row_group_is_held_at_a_time(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "GROUP_ROWS", 2)
    for number in range(5):
        write(settings, [number, 1])
    merging.merge_all(root_of(settings.home), NOON + timedelta(hours=2))
    (merged,) = paths(settings)
    assert pq.ParquetFile(merged).num_row_groups == 5
    assert forgetting.take_out(settings, is_one) == {"digits": 6}
    assert ids_of(settings) == [0, 2, 3, 4]


@pytest.mark.xfail(
    strict=True,
    raises=FileNotFoundError,
    reason="the log is counted without its lock, after the forgetting was recorded",
)
def test_rows_are_counted_while_a_server_merges_their_files(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for items in ([1, 2], [1], [3]):
        write(settings, items)

    def listed(root: Path, model: str) -> dict[Hour, list[Path]]:
        found = hours(root, model)
        merging.merge_all(root, NOON + timedelta(hours=2))
        return found

    monkeypatch.setattr(forgetting, "hours", listed)
    assert forgetting.count(settings, is_one) == {"digits": 2}


def test_a_file_that_cannot_be_read_is_named(settings: Settings) -> None:
    path = write(settings, [1])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(IntegrityError, match=rf"{path.name} cannot be read"):
        forgetting.take_out(settings, is_one)


def test_a_file_with_damaged_rows_is_named(settings: Settings) -> None:
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


def killed(*arguments: object, **options: object) -> None:
    raise KeyboardInterrupt
