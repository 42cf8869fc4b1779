"""Pieces of work that several processes do at once, here and on Dask."""

import os
import signal
import threading
import time

import pytest

from headrace.errors import DependencyError, Refusal
from headrace_flows import spreading
from headrace_flows.spreading import Here, Piece, do_piece, spread

CODE = """
import os, time
from pathlib import Path

from headrace.errors import Refusal


def write(body, settings):
    place = Path(body["folder"])
    (place / f"{body['name']}.begun").write_text(str(os.getpid()))
    if body.get("refused"):
        raise Refusal("It is refused.", "Do something else.")
    while len(list(place.glob("*.begun"))) < body.get("meets", 0):
        time.sleep(0.01)
    while body.get("waits") and not (place / "end").exists():
        time.sleep(0.01)
    (place / str(body["name"])).write_text(settings.user)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder for what pieces write; the module of their work is importable."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "pieces_of_test.py").write_text(CODE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(tmp_path / "modules")
    folder = tmp_path / "written"
    folder.mkdir()
    return folder


def a_piece(place, name, **body):
    body = {"folder": str(place), "name": name, **body}
    return Piece(pipeline="blobs", work="pieces_of_test.write", body=body)


@pytest.fixture
def here(settings, place):
    """Two processes."""
    made = Here(settings, 2)
    yield made
    made.close()


def begun(place, name):
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        if (
            text := (place / f"{name}.begun").exists()
            and (place / f"{name}.begun").read_text()
        ):
            return int(text)
        time.sleep(0.01)
    raise AssertionError(f"{name} did not begin")


def test_each_piece_is_done_once_by_a_process_that_stays(here, place, settings):
    pieces = [a_piece(place, name, meets=2) for name in "abcd"]
    done = list(spread(here, pieces))
    assert sorted(one.body["name"] for one in done) == [*"abcd"]
    assert {(place / name).read_text() for name in "abcd"} == {settings.user}
    used = {(place / f"{name}.begun").read_text() for name in "abcd"}
    assert len(used) == 2
    assert str(os.getpid()) not in used


def test_an_error_of_a_piece_keeps_its_kind_and_lets_the_others_end(here, place):
    pieces = [a_piece(place, "a", refused=True, meets=2), a_piece(place, "b", meets=2)]
    with pytest.raises(Refusal, match="It is refused"):
        list(spread(here, [*pieces, *(a_piece(place, n) for n in "cdefgh")]))
    assert (place / "b").exists()
    assert not (place / "h.begun").exists()


def test_a_killed_process_is_told_and_the_next_call_goes_on(here, place):
    pieces = [a_piece(place, "a", waits=True), a_piece(place, "b")]

    def kill():
        os.kill(begun(place, "a"), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(DependencyError, match="process was killed by signal 9"):
        list(spread(here, pieces))
    killer.join()
    assert (place / "b").exists()
    (place / "end").touch()
    assert len(list(spread(here, pieces))) == 2
    assert (place / "a").exists()


def test_an_interrupt_ends_the_processes_in_the_middle_of_their_pieces(here, place):
    pieces = [a_piece(place, name, waits=True) for name in "abc"]

    def interrupt():
        for name in "ab":
            begun(place, name)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        list(spread(here, pieces))
    assert not (place / "c.begun").exists()
    for name in "ab":
        with pytest.raises(ProcessLookupError):
            os.kill(begun(place, name), 0)


def test_a_piece_that_another_process_is_at_is_waited_for(
    here, place, settings, monkeypatch
):
    monkeypatch.setattr("headrace.state.ledger.holding.POLL_SECONDS", 0.05)
    piece = a_piece(place, "a", waits=True)
    other = threading.Thread(target=lambda: list(spread(here, [piece])))
    other.start()
    process = begun(place, "a")
    ours = threading.Thread(target=do_piece, args=(piece, settings))
    ours.start()
    ours.join(0.3)
    assert ours.is_alive()
    assert begun(place, "a") == process
    (place / "end").touch()
    for thread in (other, ours):
        thread.join(60)
    assert begun(place, "a") == os.getpid()  # ours, after it


def test_workers_of_dask_do_pieces_with_settings_of_their_own(
    settings, place, monkeypatch
):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setenv("HEADRACE_HOME", str(settings.home))
    monkeypatch.setenv("HEADRACE_USER", "dask@lab")
    kinds = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**kinds) as cluster:
        address = {"dask_address": cluster.scheduler_address}
        here = settings.model_copy(update=address)
        with spreading.workers(here, 5) as dask:
            assert (dask.at_once, dask.where) == (2, "on Dask")
            pieces = [a_piece(place, name, meets=2) for name in "abc"]
            assert len(list(spread(dask, pieces))) == 3
            with pytest.raises(Refusal, match="It is refused"):
                list(spread(dask, [a_piece(place, "d", refused=True)]))
    assert (place / "c").read_text() == "dask@lab"
    assert begun(place, "c") != os.getpid()


def test_an_interrupt_leaves_the_workers_of_dask_at_their_pieces(
    settings, place, monkeypatch
):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setenv("HEADRACE_HOME", str(settings.home))
    kinds = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**kinds) as cluster:
        address = {"dask_address": cluster.scheduler_address}
        here = settings.model_copy(update=address)

        def interrupt():
            begun(place, "a")
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            with spreading.workers(here, 1) as dask:
                list(spread(dask, [a_piece(place, "a", waits=True)]))
        (place / "end").touch()
        limit = time.monotonic() + 60
        while not (place / "a").exists():
            assert time.monotonic() < limit
            time.sleep(0.01)
