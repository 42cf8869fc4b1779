"""Windows and labels that are kept for later windows."""

import hashlib
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from headrace.data.corrections import ForgottenItems
from headrace.errors import IntegrityError
from headrace.monitoring import history as module
from headrace.monitoring.batches import Batch
from headrace.monitoring.history import History, StoredWindow, with_new
from headrace.state.home import Home
from headrace.state.store import Store

START = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def history(settings):
    return History("d" * 64, Home(settings).store)


def window(number, suspicious=False, **values):
    """A window of one item, perhaps with times."""
    when = (START + timedelta(minutes=number)).isoformat(timespec="milliseconds")
    status = "too few" if suspicious is None else "ok"
    return StoredWindow(
        when=when,
        window=hashlib.sha256(str(number).encode()).hexdigest(),
        suspicious=suspicious,
        status=status,
        reason="",
        **values,
    )


def hours(first, last):
    ends = (START + timedelta(hours=first), START + timedelta(hours=last))
    return {"first": ends[0].isoformat(), "last": ends[1].isoformat()}


def test_the_two_windows_before_are_found(history):
    for number, suspicious in enumerate([True, False, True]):
        history.keep(window(number, suspicious))
    assert history.before(window(9)) == [False, True]


def test_a_window_that_is_judged_again_is_no_other_window(history):
    history.keep(window(1, True))
    history.keep(window(1, True).model_copy(update={"when": START.isoformat()}))
    assert history.before(window(1)) == []
    assert history.before(window(2)) == [True]


def test_windows_with_common_requests_count_once(history):
    history.keep(window(1, True, **hours(0, 4)))
    history.keep(window(2, True, **hours(3, 6)))
    history.keep(window(3, True, **hours(5, 8)))
    assert history.before(window(4, **hours(7, 9))) == [True]
    assert history.before(window(4, **hours(9, 9))) == [True, True]


def test_times_of_other_zones_are_compared_as_moments():
    first = {"first": "2026-03-01T10:00:00+00:00", "last": "2026-03-01T11:00:00+00:00"}
    later = {"first": "2026-03-01T11:30:00+01:00", "last": "2026-03-01T13:00:00+01:00"}
    assert window(1, **first).overlaps(window(2, **later))
    assert not window(1, **first).overlaps(window(2, **hours(2, 3)))


def test_windows_with_too_few_items_do_not_count(history):
    history.keep(window(1, True))
    history.keep(window(2, None))
    assert history.before(window(3)) == [True]
    assert history.last().window == window(1).window


def test_the_last_window_is_that_with_enough_items_if_there_is_one(history):
    assert history.last() is None
    history.keep(window(1, None))
    assert history.last() == window(1, None)
    history.keep(window(2, True))
    history.keep(window(3, None))
    assert history.last() == window(2, True)


def test_a_file_that_is_damaged_counts_for_nothing(history, settings):
    history.keep(window(1, True))
    store = Home(settings).store
    (key,) = [key for key in store.keys() if key.startswith("monitoring/")]
    store.write(key, store.read(key)[:-9])
    assert history.before(window(2)) == []


@pytest.mark.system
def test_any_number_of_overlapping_windows_hides_no_earlier_one(history):
    history.keep(window(0, True, **hours(0, 1)))
    history.keep(window(1, False, **hours(2, 3)))
    for number in range(2, 80):
        history.keep(window(number, True, **hours(4, 28)))
    assert history.before(window(99, **hours(5, 29))) == [True, False]


def test_a_bounded_number_of_windows_is_kept(history, monkeypatch):
    monkeypatch.setattr(module, "_MOST", 3)
    for number in range(5):
        history.keep(window(number, number < 2))
    assert [one.window for one in history.windows()] == [
        window(number).window for number in (2, 3, 4)
    ]


def test_a_window_is_known_by_its_items_in_any_order():
    def kept(*items):
        names = np.array(items, object)
        outputs = np.zeros((len(items), 2), np.float32)
        batch = Batch("log", outputs, {}, names, np.full(len(items), "", object))
        return StoredWindow.of(batch, "ok", "", None)

    assert kept("a", "b").overlaps(kept("b", "a", "a"))
    assert not kept("a", "b").overlaps(kept("a"))


def scored(history, *items, score=1.0):
    """Scores with those of items, by their numbers."""
    names = np.array([f"{item:02x}" * 32 for item in items], object)
    return with_new(history.scores(), names, np.full(len(items), score))


def kept_items(history):
    return [item[0] for item in history.scores()["mark"].tolist()]


def test_scores_are_kept_in_their_order_each_item_once(history):
    assert kept_items(history) == []
    history.write_scores(scored(history, 10, 11, 10))
    history.write_scores(scored(history, 11, 9, 10, score=0.5))
    assert kept_items(history) == [10, 11, 9]
    assert history.scores()["score"].tolist() == [1.0, 1.0, 0.5]


def test_a_process_that_is_killed_loses_no_earlier_scores(history, monkeypatch):
    history.write_scores(scored(history, 1, 2))
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(Store, "write", _killed)
        history.write_scores(scored(history, 3))
    assert kept_items(history) == [1, 2]


def _killed(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize("data", [b"", b"no array", b"\x93NUMPY\x01\x00"])
def test_damaged_scores_are_told_with_their_place(history, settings, data):
    Home(settings).store.write(f"monitoring/{'d' * 64}/scores.npy", data)
    with pytest.raises(IntegrityError, match=r"scores\.npy"):
        history.scores()


def test_items_are_named_by_keyed_digests(settings):
    item = hashlib.sha256(b"yes").hexdigest()
    marker = ForgottenItems(key=Home(settings).ledger.facts.secret())
    nothing = np.full(1, "", object)
    batch = Batch("log", np.zeros((1, 2)), {}, np.array([item], object), nothing)
    marked = batch.marked(marker)
    assert marked.items.tolist() == [marker.mark_item(item)] != [item]


def test_scores_of_forgotten_items_are_deleted(history, settings):
    history.write_scores(scored(history, 1, 2, 3))
    forgotten = ForgottenItems(key="00", marks=frozenset(["02" * 32]))
    assert history.take_out(forgotten) == 1
    assert kept_items(history) == [1, 3]
    store = Home(settings).store
    assert b"\2" * 32 not in b"".join(map(store.read, store.keys()))
    assert history.take_out(forgotten) == 0
