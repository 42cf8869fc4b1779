"""Merging: no row is lost or counted twice, whenever the process is killed."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.src.serving.requests.some import NOON, ids_of, paths, put, write

from headrace.serving.requests import merging
from headrace.serving.requests.files import root_of
from headrace.settings import Settings

pytestmark = pytest.mark.system

LATER = NOON + timedelta(hours=2)
# The process kills itself at the COUNTth call of a function of pathlib.
KILLED = """
import os, pathlib, signal, sys
from datetime import datetime
from headrace.serving.requests.merging import merge_all

root, name, count, when, now = sys.argv[1:]
work, calls = getattr(pathlib.Path, name), [0]

def killed(*arguments, **named):
    calls[0] += 1
    if calls[0] == int(count) and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    result = work(*arguments, **named)
    if calls[0] == int(count):
        os.kill(os.getpid(), signal.SIGKILL)
    return result

setattr(pathlib.Path, name, killed)
merge_all(pathlib.Path(root), datetime.fromisoformat(now))
"""


def merge(settings: Settings, now: datetime = LATER) -> int:
    return merging.merge_all(root_of(settings.home), now)


def test_an_hour_that_is_over_becomes_one_file(settings: Settings) -> None:
    for number in range(5):
        write(settings, [number])
        write(settings, [number], model="messages")
    write(settings, [9], NOON + timedelta(hours=1))
    assert merge(settings) == 10
    assert len(paths(settings)) == 3
    assert ids_of(settings) == [0, 1, 2, 3, 4, 9]
    assert ids_of(settings, "messages") == [0, 1, 2, 3, 4]
    assert merge(settings) == 0, "it is idempotent"


def test_the_current_hour_is_merged_where_it_has_many_files(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "MANY", 6)
    now = NOON + timedelta(minutes=30)
    for number in range(5):
        write(settings, [number])
    assert merge(settings, now) == 0
    write(settings, [5])
    assert merge(settings, now) == 6
    assert len(paths(settings)) == 1
    assert merge(settings, NOON + timedelta(hours=1, seconds=10)) == 0


def test_late_rows_are_merged_too(settings: Settings) -> None:
    for number in range(3):
        write(settings, [number])
    merge(settings)
    write(settings, [3])
    assert merge(settings) == 2
    assert ids_of(settings) == [0, 1, 2, 3]
    assert len(paths(settings)) == 1


def test_files_with_and_without_inputs_are_merged(settings: Settings) -> None:
    write(settings, [1])
    path = write(settings, [2])
    pq.write_table(pq.read_table(path).append_column("input", [[b"x"]]), path)
    assert merge(settings) == 2
    (merged,) = paths(settings)
    table = pq.read_table(merged).sort_by("time")
    assert table["input"].to_pylist() == [None, b"x"]


def test_memory_is_bounded_by_groups(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "GROUP_ROWS", 10)
    for start in range(0, 42, 6):
        write(settings, range(start, start + 6))
    merge(settings)
    (merged,) = paths(settings)
    assert pq.ParquetFile(merged).metadata.num_row_groups == 7
    assert ids_of(settings) == list(range(42))


def test_a_damaged_file_and_one_of_another_type_stay(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = write(settings, [1])
    damaged.write_bytes(b"PAR1")
    write(settings, [2])
    write(settings, [3])
    assert merge(settings) == 2
    assert damaged in paths(settings)
    other = write(settings, [4])
    table = pq.read_table(other)
    names = pa.array(["v2"], pa.string())
    place = table.schema.get_field_index("version")
    pq.write_table(table.set_column(place, "version", names), other)
    with caplog.at_level(logging.WARNING):
        assert merge(settings) == 0
    assert "of different types, not merged" in caplog.text
    assert other in paths(settings)


def test_a_model_is_merged_by_one_process_at_a_time(settings: Settings) -> None:
    for number in range(3):
        write(settings, [number])
        write(settings, [number], model="messages")
    root = root_of(settings.home)
    with merging.only_one(root / "digits") as ours:
        assert ours
        assert merge(settings) == 3, "of the other model"
    assert merge(settings) == 3


def test_it_stops_when_it_is_to_end(settings: Settings) -> None:
    for number in range(4):
        write(settings, [number])
    before = paths(settings)
    asked = iter([False, False, True])
    root = root_of(settings.home)
    assert merging.merge_all(root, LATER, lambda: next(asked)) == 0
    assert paths(settings) == before
    assert [p for p in before[0].parent.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("name", "count"), [("replace", 1), ("unlink", 1), ("unlink", 2), ("unlink", 5)]
)
def test_a_kill_loses_and_doubles_nothing(
    settings: Settings, name: str, count: int, when: str
) -> None:
    for number in range(4):
        write(settings, [2 * number, 2 * number + 1])
    arguments = [str(root_of(settings.home)), name, str(count), when]
    command = [sys.executable, "-c", KILLED, *arguments, LATER.isoformat()]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    assert ids_of(settings) == list(range(8))
    write(settings, [8])
    assert ids_of(settings) == list(range(9))
    merge(settings)
    assert ids_of(settings) == list(range(9))
    assert len(paths(settings)) == 1


def test_readers_see_each_row_once_while_files_are_merged(settings: Settings) -> None:
    end = threading.Event()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            while not end.is_set():
                merge(settings)
        except BaseException as error:
            failures.append(error)

    merger = threading.Thread(target=work)
    merger.start()
    try:
        for number in range(60):
            put(settings, [number])
            assert ids_of(settings) == list(range(number + 1))
    finally:
        end.set()
        merger.join()
    assert failures == []


def test_a_full_disk_leaves_the_old_files(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    for number in range(3):
        write(settings, [number])
    before = paths(settings)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        merge(settings)
    assert paths(settings) == before
    assert ids_of(settings) == [0, 1, 2]
    assert [path for path in _all(before[0].parent) if path not in before] == []


def _all(folder: Path) -> list[Path]:
    return list(folder.iterdir())
