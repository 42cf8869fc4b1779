"""Windows and labels that are kept for later windows."""

import hashlib
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from headrace.data.forgotten import ForgottenItems
from headrace.monitoring import history as module
from headrace.monitoring.batches import Batch
from headrace.monitoring.drift.verdict import Sign
from headrace.monitoring.history import History, with_new
from headrace.monitoring.stored import StoredWindow, sketch_of
from headrace.state.home import Home
from headrace.state.store import Store

START = datetime(2026, 3, 1, tzinfo=UTC)
DROP = Sign(inputs_drifted=True, answers_drifted=True, drop=True)
CALM = Sign(inputs_drifted=False, answers_drifted=False, drop=False)


@pytest.fixture
def history(settings):
    return History("d" * 64, Home(settings).store)


def window(number, sign=CALM, **values):
    """A window of one item, perhaps with times or with other items."""
    when = (START + timedelta(minutes=number)).isoformat(timespec="milliseconds")
    items = values.pop("items", [number])
    digests = [hashlib.sha256(str(item).encode()).hexdigest() for item in items]
    return StoredWindow(
        when=when,
        window=hashlib.sha256("".join(digests).encode()).hexdigest(),
        items=len(digests),
        sketch=sketch_of(digests),
        sign=sign,
        status="ok",
        reason="",
        **values,
    )


def hours(first, last):
    ends = (START + timedelta(hours=first), START + timedelta(hours=last))
    return {"first": ends[0].isoformat(), "last": ends[1].isoformat()}


def test_the_signs_of_the_two_windows_before_are_found(history):
    for number, sign in enumerate([DROP, CALM, DROP]):
        history.keep(window(number, sign))
    assert history.signs_before(window(9)) == [CALM, DROP]


def test_a_window_that_is_judged_again_is_no_other_window(history):
    history.keep(window(1, DROP))
    history.keep(window(1, DROP).model_copy(update={"when": START.isoformat()}))
    assert history.signs_before(window(1)) == []
    assert history.signs_before(window(2)) == [DROP]


def test_windows_with_common_requests_count_once(history):
    history.keep(window(1, DROP, **hours(0, 4)))
    history.keep(window(2, DROP, **hours(3, 6)))
    history.keep(window(3, DROP, **hours(5, 8)))
    assert history.signs_before(window(4, **hours(7, 9))) == [DROP]
    assert history.signs_before(window(4, **hours(9, 9))) == [DROP, DROP]


def test_windows_with_too_few_items_do_not_count(history):
    history.keep(window(1, DROP))
    history.keep(window(2, None))
    assert history.signs_before(window(3)) == [DROP]


def test_a_window_that_is_damaged_counts_for_nothing(history, settings):
    history.keep(window(1, DROP))
    store = Home(settings).store
    (key,) = [key for key in store.keys() if key.startswith("monitoring/")]
    store.write(key, store.read(key)[:-9])
    assert history.signs_before(window(2)) == []


def test_windows_that_share_most_items_count_once(history):
    history.keep(window(1, DROP, items=range(100)))
    history.keep(window(2, DROP, items=range(10, 110)))
    assert history.signs_before(window(3, items=range(200, 300))) == [DROP]
    assert history.signs_before(window(3, items=range(20, 120))) == []


@pytest.mark.system
def test_any_number_of_overlapping_windows_hides_no_earlier_one(history):
    history.keep(window(0, DROP, **hours(0, 1)))
    history.keep(window(1, CALM, **hours(2, 3)))
    for number in range(2, 80):
        history.keep(window(number, DROP, **hours(4, 28)))
    assert history.signs_before(window(99, **hours(5, 29))) == [DROP, CALM]


def test_the_look_back_is_bounded(history, monkeypatch):
    monkeypatch.setattr(module, "_MOST_READ", 3)
    for number in range(5):
        history.keep(window(number, DROP if number < 2 else None))
    assert history.signs_before(window(9)) == []


def test_other_files_in_the_folder_are_passed_over(history, settings):
    history.keep(window(1, DROP))
    store = Home(settings).store
    for name in ("x.json", "~_a_b_c.json", "scores/x.npy", "scores/1-all-ab.npy"):
        store.write(f"monitoring/{'d' * 64}/{name}", b"")
    assert history.signs_before(window(2)) == [DROP]
    assert len(history.scores()) == 0


def scored(history, *items, score=1.0):
    """New scores of items, by their numbers."""
    names = np.array([f"{item:02x}" * 32 for item in items], object)
    before = history.scores()
    return with_new(before, names, np.full(len(items), score))[len(before) :]


def kept_items(history):
    return [item[0] for item in history.scores()["mark"].tolist()]


def test_scores_are_kept_in_their_order_each_item_once(history):
    history.add_scores(scored(history, 10, 11, 10))
    history.add_scores(scored(history, 11, 9, 10, score=0.5))
    assert kept_items(history) == [10, 11, 9]
    assert history.scores()["score"].tolist() == [1.0, 1.0, 0.5]
    history.add_scores(scored(history, 10, 12)[:0], anew=True)
    assert kept_items(history) == []


def test_a_process_that_is_killed_loses_no_earlier_scores(history, monkeypatch):
    history.add_scores(scored(history, 1, 2))
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(Store, "write", _killed)
        history.add_scores(scored(history, 3))
    assert kept_items(history) == [1, 2]
    history.add_scores(scored(history, 3))
    assert kept_items(history) == [1, 2, 3]


def _killed(*_):
    raise KeyboardInterrupt


def test_two_processes_at_once_both_add_their_scores(history, monkeypatch):
    both = [scored(history, 1, 2), scored(history, 2, 3)]
    with monkeypatch.context() as at_once:
        at_once.setattr(history, "_parts", list)
        for scores in both:
            history.add_scores(scores)
    assert sorted(kept_items(history)) == [1, 2, 3]


def test_after_many_files_one_has_all_scores(history, settings, monkeypatch):
    monkeypatch.setattr(module, "_MOST_PARTS", 3)
    for item in range(1, 9):
        history.add_scores(scored(history, item))
    assert kept_items(history) == list(range(1, 9))
    store = Home(settings).store
    kinds = [key.split("-")[1] for key in store.keys() if "/scores/" in key]
    assert kinds == ["new"] * 3 + ["all"] + ["new"] * 3 + ["all"]


def test_items_are_named_by_keyed_digests(settings):
    item = hashlib.sha256(b"yes").hexdigest()
    marker = ForgottenItems(key=Home(settings).ledger.facts.secret())
    nothing = np.full(1, "", object)
    batch = Batch("log", np.zeros((1, 2)), {}, np.array([item], object), nothing)
    marked = batch.marked(marker)
    assert marked.items.tolist() == [marker.mark_item(item)] != [item]


def test_scores_of_forgotten_items_are_deleted(history, settings):
    for item in (1, 2, 3):
        history.add_scores(scored(history, item))
    forgotten = ForgottenItems(key="00", marks=frozenset(["02" * 32]))
    assert history.take_out(forgotten) == 1
    assert kept_items(history) == [1, 3]
    store = Home(settings).store
    assert b"\2" * 32 not in b"".join(map(store.read, store.keys()))
    assert history.take_out(forgotten) == 0


def test_forgetting_reads_each_file_of_scores_once(history, monkeypatch):
    for item in (1, 2, 3):
        history.add_scores(scored(history, item))
    read, read_of = [], Store.read
    monkeypatch.setattr(
        Store, "read", lambda self, *args: (read.append(1), read_of(self, *args))[1]
    )
    assert history.take_out(ForgottenItems(key="00")) == 0
    assert len(read) == 3
