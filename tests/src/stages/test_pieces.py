"""Pieces of work that several processes do at once."""

import importlib
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from headrace.errors import DependencyError, Refusal
from headrace.records import Record
from headrace.stages.pieces import Place, do_piece, opened

pytestmark = pytest.mark.system

CODE = """
import os, time
from pathlib import Path

from headrace.errors import Refusal


def write(piece, settings):
    place = Path(piece.folder)
    (place / f"{piece.name}.new").write_text(str(os.getpid()))
    (place / f"{piece.name}.new").rename(place / f"{piece.name}.begun")
    if piece.name == "refused":
        raise Refusal("It is refused.", "Do something else.")
    while len(list(place.glob("*.begun"))) < piece.meets:
        time.sleep(0.01)
    (place / f"{piece.name}.done").write_text(settings.user)
    return os.getpid()
"""


class Piece(Record):
    """Work of the module in `CODE`."""

    folder: str
    name: str
    meets: int = 0
    pipeline: str = "blobs"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """The work, which other processes can import."""
    (tmp_path / "pieces_of_test.py").write_text(CODE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("pieces_of_test").write
    del sys.modules["pieces_of_test"]


def processes_in(place, count):
    """The processes of so many pieces that have begun."""
    limit = time.monotonic() + 120
    while len(begun := list(place.glob("*.begun"))) < count:
        assert time.monotonic() < limit
        time.sleep(0.01)
    return [int(one.read_text()) for one in begun]


def test_each_piece_is_done_once_by_a_process_that_stays(settings, tmp_path, write):
    pieces = [Piece(folder=str(tmp_path), name=name, meets=2) for name in "abcd"]
    with opened(settings, 2) as place:
        done = [*place.spread(write, pieces)]
    assert len(done) == 4
    assert len({*done}) == place.at_once == 2
    assert os.getpid() not in done


def test_an_error_of_a_piece_is_raised_and_no_further_one_begins(
    settings, tmp_path, write
):
    pieces = [Piece(folder=str(tmp_path), name=name) for name in ("refused", *"abc")]
    with pytest.raises(Refusal, match="It is refused"):
        with opened(settings, 1) as place:
            list(place.spread(write, pieces))
    assert len(processes_in(tmp_path, 1)) == 1


def test_results_come_in_order_of_at_most_so_many_tasks_at_once():
    running, most = [], []

    def square(number):
        running.append(number)
        most.append(len(running))
        time.sleep((3 - number % 3) / 50)
        running.remove(number)
        return number**2

    with ThreadPoolExecutor(8) as executor:
        place = Place(executor, 2, "here", None)
        results = [*place.in_order(square, range(9))]
    assert results == [number**2 for number in range(9)]
    assert max(most) == 2


@pytest.mark.parametrize(
    ("kills", "error"), [(True, DependencyError), (False, KeyboardInterrupt)]
)
def test_processes_end_where_one_is_killed_or_the_user_interrupts(
    settings, tmp_path, write, kills, error
):
    pieces = [Piece(folder=str(tmp_path), name=name, meets=9) for name in "ab"]

    def given():
        yield from pieces
        ended.extend(processes_in(tmp_path, 2))
        if not kills:
            raise KeyboardInterrupt
        os.kill(max(ended), signal.SIGKILL)  # the last that was started

    ended = []
    with pytest.raises(error):
        with opened(settings, 2) as place:
            list(place.spread(write, given()))
    for pid in ended:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_piece_is_done_in_this_process_as_well(settings, tmp_path, write):
    piece = Piece(folder=str(tmp_path), name="a")
    assert do_piece(write, settings, piece) == os.getpid()


def test_a_piece_that_another_process_is_at_is_waited_for(
    settings, tmp_path, write, monkeypatch
):
    monkeypatch.setattr("headrace.state.ledger.holding.POLL_SECONDS", 0.05)
    piece = Piece(folder=str(tmp_path), name="a", meets=2)
    with opened(settings, 1) as place:
        other = place.submit(write, piece)
        (process,) = processes_in(tmp_path, 1)
        ours = threading.Thread(target=do_piece, args=(write, settings, piece))
        ours.start()
        ours.join(0.3)
        assert ours.is_alive()
        assert processes_in(tmp_path, 1) == [process]
        (tmp_path / "another.begun").touch()
        ours.join(60)
        assert other.result() == process
    assert (tmp_path / "a.begun").read_text() == str(os.getpid())  # ours, after it


def test_dask_does_pieces_with_its_own_settings_and_goes_on_after_an_interrupt(
    settings, tmp_path, write, monkeypatch
):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setenv("HEADRACE_HOME", str(settings.home))
    monkeypatch.setenv("HEADRACE_USER", "dask@lab")
    kinds = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    pieces = [Piece(folder=str(tmp_path), name=name, meets=2) for name in "abc"]
    last = Piece(folder=str(tmp_path), name="last", meets=6)
    with distributed.LocalCluster(**kinds) as cluster:
        address = {"dask_address": cluster.scheduler_address}
        here = settings.model_copy(update=address)
        with opened(here, 5) as place:
            assert (place.at_once, place.where) == (2, "on Dask")
            assert len(list(place.spread(write, pieces))) == 3
            with pytest.raises(Refusal, match="It is refused"):
                refused = Piece(folder=str(tmp_path), name="refused")
                list(place.spread(write, [refused]))
        with pytest.raises(KeyboardInterrupt):
            with opened(here, 1) as place:
                place.submit(write, last)
                processes_in(tmp_path, 5)
                raise KeyboardInterrupt
        (tmp_path / "another.begun").touch()
        limit = time.monotonic() + 60
        while not (tmp_path / "last.done").exists():
            assert time.monotonic() < limit
            time.sleep(0.01)
    assert (tmp_path / "c.done").read_text() == "dask@lab"
