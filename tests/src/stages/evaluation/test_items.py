"""Which items count as new, how attempts are counted, and what was learned from."""

import hashlib

import numpy as np
import pytest

from headrace.data.snapshots.reading import DIGEST, find_snapshot
from headrace.data.snapshots.splits import SplitRows
from headrace.records import DataDescription
from headrace.stages.attempts import Attempt
from headrace.stages.evaluation.comparison import keep_items, learned_from, look_back
from headrace.state.store import Store

GRAY = DataDescription(medium="image", shape=(2, 2, 1), classes=("0", "1"))


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


def items(*numbers):
    data = b"".join(hashlib.sha256(bytes([number])).digest() for number in numbers)
    return np.frombuffer(data, DIGEST)


def attempt(number, rows, training="", champion=1):
    """One against a champion; the first has none."""
    champion = champion if number > 1 else None
    return Attempt(training or f"w{number}", champion, "data", rows)


def look(store, attempts, judged, training="mine"):
    own = attempt(2, keep_items(judged, store), training)
    return look_back(attempts, own, judged, store)


def test_items_are_kept_once_sorted_and_by_their_digest(store):
    digest = keep_items(items(3, 1, 2, 1), store)
    assert digest == keep_items(items(1, 2, 3), store)
    data = store.read(f"judged/{digest}.bin")
    assert hashlib.sha256(data).hexdigest() == digest
    assert data == b"".join(
        sorted(hashlib.sha256(bytes([n])).digest() for n in (1, 2, 3))
    )
    store.write(f"judged/{digest}.bin", b"damaged")
    keep_items(items(1, 2, 3), store)
    assert store.read(f"judged/{digest}.bin") == data


def test_an_item_is_new_if_no_attempt_was_judged_on_it(store):
    attempts = [
        attempt(1, keep_items(items(1, 2), store)),
        attempt(2, keep_items(items(2, 3), store)),
    ]
    past = look(store, attempts, items(5, 1, 3, 4))
    assert past.new.tolist() == [True, False, False, True]
    assert (past.attempt, past.note) == (2, "")


def test_attempts_count_where_their_items_are_judged_again(store):
    first = keep_items(items(1, 2), store)
    other = keep_items(items(8, 9), store)
    attempts = [
        attempt(1, first),  # the first champion was compared with nobody
        attempt(2, first),
        attempt(3, first),
        attempt(4, other),
    ]
    assert look(store, attempts, items(2, 3)).attempt == 3
    assert look(store, attempts, items(9)).attempt == 2
    assert look(store, attempts, items(5)).attempt == 1


def test_the_same_comparison_again_is_no_new_attempt(store):
    rows = keep_items(items(1, 2), store)
    attempts = [attempt(1, rows), attempt(2, rows), attempt(3, rows), attempt(4, rows)]
    assert look(store, attempts, items(1, 2), training="w3").attempt == 2
    repeated = [*attempts, attempt(5, rows, training="w2")]
    assert look(store, repeated, items(1, 2)).attempt == 4


def test_the_same_weights_on_other_rows_or_against_another_champion_are_one(store):
    """A row left out here and there would else be a try for nothing."""
    whole, less = keep_items(items(1, 2), store), keep_items(items(1), store)
    attempts = [
        attempt(2, whole),
        attempt(3, less, training="w2"),
        attempt(4, whole, training="w2", champion=3),
    ]
    assert look(store, attempts, items(1, 2)).attempt == 4


def test_an_evaluation_done_again_sees_only_what_came_before_it(store):
    rows, more = keep_items(items(1, 2), store), keep_items(items(1, 2, 3), store)
    attempts = [attempt(1, rows), attempt(2, more), attempt(3, more)]
    past = look(store, attempts, items(1, 2, 3), training="w2")
    assert past.new.tolist() == [False, False, True]
    assert past.attempt == 1


@pytest.mark.parametrize("damage", ["gone", "changed", "cut"])
def test_without_the_items_of_an_attempt_none_is_new(store, damage):
    rows = keep_items(items(1, 2), store)
    key = f"judged/{rows}.bin"
    if damage == "gone":
        store.delete(key)
    else:
        data = items(8, 9).tobytes() if damage == "changed" else store.read(key)[:32]
        store.write(key, data)
    past = look(store, [attempt(1, rows), attempt(2, rows)], items(5, 6))
    assert past.new.tolist() == [False, False]
    assert past.attempt == 2
    assert past.note.startswith("no item counts as new, since the store has lost")


@pytest.fixture
def snapshot(store, write_snapshot):
    """Six images; two of each split."""
    payload = np.arange(24, dtype=np.uint8).reshape(6, 2, 2, 1)
    columns = {
        "split": ["train", "val", "test"] * 2,
        "label": ["0", "1"] * 3,
        "name": [str(number) for number in range(6)],
    }
    made = write_snapshot(store, GRAY, payload, columns)
    return made


def shas(*rows):
    payload = np.arange(24, dtype=np.uint8).reshape(6, 4)
    found = [hashlib.sha256(payload[row].tobytes()).digest() for row in rows]
    return np.frombuffer(b"".join(found), DIGEST)


def test_the_items_of_a_split_are_those_of_its_rows(snapshot):
    assert SplitRows(snapshot, "test").items().tolist() == sorted(shas(2, 5).tolist())


def test_what_a_model_learned_from_is_in_train_or_val(snapshot):
    given = np.concatenate([shas(0, 1, 2, 3, 4, 5), items(1)])
    learned = learned_from(snapshot, given)
    assert learned.tolist() == [True, True, False, True, True, False, False]


def test_a_snapshot_is_found_by_its_digest(store, snapshot):
    assert find_snapshot(store, "0000") is None
    found = find_snapshot(store, snapshot.digest)
    assert found is not None
    assert learned_from(found, shas(0)).tolist() == [True]
    manifest = f"snapshots/{snapshot.digest}/manifest.json"
    changed = store.read(manifest).replace(snapshot.digest.encode(), b"0" * 64)
    store.write(manifest, changed)
    assert find_snapshot(store, snapshot.digest) is None
