"""Windows and labels that are kept for later windows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from headrace.data.anchored import open_anchored
from headrace.drift.verdict import Sign
from headrace.settings import Settings
from headrace.state.ledger import Version
from headrace.use.monitoring.batches import Batch
from headrace.use.monitoring.history import History, KeptWindow, kept_window, with_new

START = datetime(2026, 3, 1, tzinfo=UTC)
DROP = Sign(inputs_drifted=True, answers_drifted=True, drop=True)
CALM = Sign(inputs_drifted=False, answers_drifted=False, drop=False)


@pytest.fixture
def history(settings: Settings) -> History:
    version = Version(
        model="blobs",
        version=1,
        training="t",
        run_id="r",
        model_uri="models:/m-1",
        model_digest="d" * 64,
        weights_digest="w",
        snapshot_digest="s",
        created_by="ada",
    )
    return History(version, open_anchored(settings))


def window(number: int, sign: Sign | None = CALM, **times: str) -> KeptWindow:
    values: dict[str, Any] = {"window": f"{number:064d}", "sign": sign, **times}
    when = (START + timedelta(hours=number)).isoformat(timespec="milliseconds")
    return KeptWindow(when=when, status="ok", reason="", **values)


def hours(first: int, last: int) -> dict[str, str]:
    ends = (START + timedelta(hours=first), START + timedelta(hours=last))
    return {"first": ends[0].isoformat(), "last": ends[1].isoformat()}


def test_the_signs_of_the_two_windows_before_are_found(history: History) -> None:
    for number, sign in enumerate([DROP, CALM, DROP]):
        history.keep(window(number, sign))
    assert history.signs_before(window(9)) == [CALM, DROP]


def test_a_window_that_is_judged_again_is_no_other_window(history: History) -> None:
    history.keep(window(1, DROP))
    history.keep(window(1, DROP).model_copy(update={"when": START.isoformat()}))
    assert history.signs_before(window(1)) == []
    assert history.signs_before(window(2)) == [DROP]


def test_windows_with_common_requests_count_once(history: History) -> None:
    history.keep(window(1, DROP, **hours(0, 4)))
    history.keep(window(2, DROP, **hours(3, 6)))
    history.keep(window(3, DROP, **hours(5, 8)))
    assert history.signs_before(window(4, **hours(7, 9))) == [DROP]
    assert history.signs_before(window(4, **hours(9, 9))) == [DROP, DROP]


def test_windows_with_too_few_items_do_not_count(history: History) -> None:
    history.keep(window(1, DROP))
    history.keep(window(2, None))
    assert history.signs_before(window(3)) == [DROP]


def test_a_window_that_was_changed_in_the_store_counts_for_nothing(
    history: History, settings: Settings
) -> None:
    history.keep(window(1, DROP))
    store = open_anchored(settings).store
    (key,) = [key for key in store.keys() if key.startswith("monitoring/")]
    store.write(key, store.read(key).replace(b"true", b"false"))
    assert history.signs_before(window(2)) == []


def test_scores_are_kept_in_their_order_each_item_once(history: History) -> None:
    items = np.array(["0a" * 32, "0b" * 32, "0a" * 32], object)
    first = with_new(history.scores(), items, np.array([1.0, 0.0, 0.0]))
    history.keep_scores(first)
    later = with_new(history.scores(), items[::-1], np.array([0.5, 0.5, 0.5]))
    assert later["score"].tolist() == [1.0, 0.0]
    assert later["item"][1] == b"\x0b" * 32
    other = with_new(later, np.array(["ff" * 32], object), np.array([0.25]))
    assert other["score"].tolist() == [1.0, 0.0, 0.25]


def test_a_window_is_named_by_its_items_in_any_order() -> None:
    def batch(*items: str) -> Batch:
        names = np.array(items, object)
        outputs = np.zeros((len(items), 2), np.float32)
        return Batch("log", outputs, {}, names, np.full(len(items), "", object))

    one, other = batch("a", "b"), batch("b", "a", "a")
    kept = [kept_window(b, "ok", "", None).window for b in (one, other, batch("a"))]
    assert kept[0] == kept[1] != kept[2]
