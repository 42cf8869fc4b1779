"""Streams become Parquet: no row is lost or counted twice, whoever is killed."""

import errno
import fcntl
import os
import stat
import subprocess
import sys
import threading
from datetime import timedelta

import pyarrow as pa
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

from headrace.serving.requests import contents, settling
from headrace.serving.requests.contents import LogFile, Stream
from headrace.serving.requests.files import PARQUET, parquet_of, root_of
from headrace.serving.requests.settling import settle

LATER = NOON + timedelta(hours=2)
# The process kills itself at the COUNTth call of a function of pathlib.
KILLED = """
import os, pathlib, signal, sys
from datetime import datetime
from headrace.serving.requests.settling import settle_all

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
settle_all(pathlib.Path(root), datetime.fromisoformat(now))
"""


def settle_all(settings, now=LATER):
    return settling.settle_all(root_of(settings.home), now)


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_only_the_owner_can_read_the_log(settings):
    os.umask(0o022)
    for path in (stream(settings, [1]), write(settings, [2])):
        day = ("requests", "digits", "2026-11-27")
        assert path.relative_to(settings.home).parts[:3] == day
        assert path.name.startswith("12-")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        for folder in list(path.parents)[:3]:
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder


def test_rows_are_in_a_stream_as_soon_as_they_are_appended(settings):
    made = Stream(hour_of(settings), log_rows([]).schema)
    for number in range(5):
        assert made.append(log_rows([number, number + 10]))
        assert ids_of(settings) == sorted([*range(number + 1), *range(10, number + 11)])
    assert paths(settings) == [made.path]
    assert len(pa.ipc.open_stream(made.path.read_bytes()).read_all()) == 10


def test_an_hour_that_is_over_becomes_parquet_once(settings):
    for model in ("digits", "messages"):
        stream(settings, [1, 2], model=model)
    stream(settings, [3])
    current = stream(settings, [9], NOON + timedelta(hours=2))
    for _ in range(2):
        assert settle_all(settings) == {}
        assert [p.suffix for p in paths(settings) if p != current] == [PARQUET] * 3
        assert ids_of(settings) == [1, 2, 3, 9]
        assert ids_of(settings, "messages") == [1, 2]
    assert settle_all(settings, NOON + timedelta(hours=3, seconds=10)) == {}
    assert current.exists(), "its last rows may be on their way"


def test_late_rows_begin_another_stream(settings):
    made = Stream(hour_of(settings), log_rows([]).schema)
    assert made.append(log_rows([1]))
    settle_all(settings)
    assert not made.append(log_rows([2]))
    stream(settings, [2])
    settle_all(settings)
    assert ids_of(settings) == [1, 2]


def test_nobody_appends_to_a_stream_that_another_process_works_on(settings):
    made = Stream(hour_of(settings), log_rows([]).schema)
    assert made.append(log_rows([1]))
    with made.path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert not made.append(log_rows([2]))
        assert settle_all(settings) == {}
        assert paths(settings) == [made.path]
    assert made.append(log_rows([3]))
    parquet_of(made.path).write_bytes(b"by a process that was killed then")
    assert not made.append(log_rows([4]))


@pytest.mark.parametrize("written", [3, 8, 100, -300, -1])
def test_a_batch_that_was_written_in_part_is_left_out(settings, written):
    made = Stream(hour_of(settings), log_rows([]).schema)
    assert made.append(log_rows([1]))
    first = made.path.read_bytes()
    assert made.append(log_rows([2]))
    second = made.path.read_bytes().removeprefix(first)
    made.path.write_bytes(first + second[:written])
    assert ids_of(settings) == [1]
    assert settle_all(settings) == {}
    assert ids_of(settings) == [1]
    made.path.write_bytes(first[:written])
    parquet_of(made.path).unlink()
    assert ids_of(settings) == []
    assert settle_all(settings) == {}
    assert paths(settings) == []


def test_a_damaged_stream_is_named_and_stays(settings):
    path = stream(settings, [1, 2])
    whole = path.read_bytes()
    stream(settings, [3])
    for place, length in ((200, 64), (len(whole) - 40, 40), (len(whole) - 600, 64)):
        path.write_bytes(whole[:place] + b"\xee" * length + whole[place + length :])
        ((damaged, error),) = settle_all(settings).items()
        assert damaged == path
        assert f"{path} cannot be read" in error.message
    path.write_bytes(whole + bytes(512))
    assert [*settle_all(settings)] == [path]
    assert [p.suffix for p in paths(settings)].count(PARQUET) == 1


@pytest.mark.parametrize("place", [0, 4])
def test_damage_where_a_batch_begins_is_not_taken_for_its_end(settings, place):
    made = Stream(hour_of(settings), log_rows([]).schema)
    assert made.append(log_rows([1]))
    second = made.path.stat().st_size
    assert made.append(log_rows([2]))
    whole = made.path.read_bytes()
    for begin in (place, second + place):
        made.path.write_bytes(whole[:begin] + b"\x7e" * 4 + whole[begin + 4 :])
        assert [*settle_all(settings)] == [made.path], "its rows would be lost"


def test_memory_is_bounded_by_groups(settings, monkeypatch):
    for module in (contents, settling):
        monkeypatch.setattr(module, "GROUP_ROWS", 10)
    made = Stream(hour_of(settings), log_rows([]).schema)
    for start in range(0, 42, 6):
        made.append(log_rows(range(start, start + 6)))
    with LogFile(made.path) as file:
        assert [len(table) for table in file.tables()] == [6] * 7
    settle(made.path)
    assert pq.ParquetFile(parquet_of(made.path)).num_row_groups == 7
    assert ids_of(settings) == list(range(42))


def test_a_full_disk_leaves_the_rows_that_were_there(settings, monkeypatch):
    made = Stream(hour_of(settings), log_rows([]).schema)
    assert made.append(log_rows([1]))
    other = Stream(hour_of(settings), log_rows([]).schema)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        for each in (made, other):
            with pytest.raises(OSError, match="No space left"):
                each.append(log_rows([2, 3, 4]))
        with pytest.raises(OSError, match="No space left"):
            settle_all(settings)
    assert paths(settings) == [made.path]
    assert ids_of(settings) == [1]
    with LogFile(made.path) as file:
        assert [len(table) for table in file.tables()] == [1]
    settle_all(settings)
    assert ids_of(settings) == [1]


@pytest.mark.system
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("name", "count"), [("replace", 1), ("unlink", 1), ("unlink", 2), ("unlink", 3)]
)
def test_a_kill_loses_and_doubles_nothing(settings, name, count, when):
    for number in range(4):
        stream(settings, [2 * number, 2 * number + 1])
    arguments = [str(root_of(settings.home)), name, str(count), when]
    command = [sys.executable, "-c", KILLED, *arguments, LATER.isoformat()]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    assert ids_of(settings) == list(range(8))
    settle_all(settings)
    assert ids_of(settings) == list(range(8))
    assert [p.suffix for p in paths(settings)] == [PARQUET] * 4


@pytest.mark.system
def test_readers_see_each_row_once_while_streams_are_settled(settings):
    end, failures = threading.Event(), list[BaseException]()

    def work():
        try:
            while not end.is_set():
                settle_all(settings)
        except BaseException as error:
            failures.append(error)

    settling = threading.Thread(target=work)
    settling.start()
    try:
        for number in range(25):
            table = log_rows([number])
            while not Stream(hour_of(settings), table.schema).append(table):
                pass  # it was settled before it had a row
            assert ids_of(settings) == list(range(number + 1))
    finally:
        end.set()
        settling.join()
    assert failures == []
