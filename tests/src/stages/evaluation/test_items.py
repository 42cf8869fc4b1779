"""Which items count as new, how attempts are counted, and what was learned from."""

import hashlib

import numpy as np
import pytest

from headrace.data.snapshots.reading import DIGEST, find_snapshot
from headrace.data.snapshots.splits import SplitRows
from headrace.errors import IntegrityError
from headrace.records import DataDescription
from headrace.stages.evaluation import items as items_module
from headrace.stages.evaluation.items import (
    Archive,
    answer_again,
    attempts_before,
    learned_from,
    look_back,
)
from headrace.stages.former import Attempt
from headrace.state.store import Store
from headrace.tasks import task

GRAY = DataDescription(medium="image", shape=(2, 2, 1), classes=("0", "1"))


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


def items(*numbers):
    data = b"".join(hashlib.sha256(bytes([number])).digest() for number in numbers)
    return np.frombuffer(data, DIGEST)


def attempt(number, rows, **values):
    plain = {
        "id": number,
        "version": number,
        "training": f"w{number}",
        "champion_version": 1 if number > 1 else None,
        "best_version": None,
        "snapshot_digest": "gone",
        "rows_digest": rows,
        "metrics": {},
    }
    return Attempt(**plain | values)


def archive_of(store):
    """The items in a store, with its snapshots."""

    def find(digest):
        snapshot = find_snapshot(store, digest)
        if snapshot is None:
            raise IntegrityError("gone", "Restore it.")
        return snapshot

    return Archive(store, find)


def keep_items(store, items):
    return archive_of(store).keep(items)


def look(store, attempts, judged, training="mine", since=99):
    archive = archive_of(store)
    own = (training, 1, archive.keep(judged))
    return look_back(archive, attempts_before(attempts, own), judged, since)


def test_items_are_kept_once_sorted_and_by_their_digest(store):
    digest = keep_items(store, items(3, 1, 2, 1))
    assert digest == keep_items(store, items(1, 2, 3))
    data = store.read(f"judged/{digest}.bin")
    assert hashlib.sha256(data).hexdigest() == digest
    assert data == b"".join(
        sorted(hashlib.sha256(bytes([n])).digest() for n in (1, 2, 3))
    )
    store.write(f"judged/{digest}.bin", b"damaged")
    keep_items(store, items(1, 2, 3))
    assert store.read(f"judged/{digest}.bin") == data


def test_an_item_is_new_if_no_attempt_was_judged_on_it(store):
    attempts = [
        attempt(1, keep_items(store, items(1, 2))),
        attempt(2, keep_items(store, items(2, 3))),
    ]
    past = look(store, attempts, items(5, 1, 3, 4))
    assert past.new.tolist() == [True, False, False, True]
    assert (past.attempt, past.note) == (2, "")


def test_attempts_count_where_their_items_are_judged_again(store):
    first = keep_items(store, items(1, 2))
    other = keep_items(store, items(8, 9))
    attempts = [
        attempt(1, first),  # the first champion was compared with nobody
        attempt(2, first),
        attempt(3, first),
        attempt(4, other),
    ]
    assert look(store, attempts, items(2, 3)).attempt == 3
    assert look(store, attempts, items(9)).attempt == 2
    assert look(store, attempts, items(5)).attempt == 1


def test_all_attempts_count_since_the_best_champion_was_promoted(store):
    """Else each of many small new data sets would be a first attempt."""
    attempts = [attempt(n, keep_items(store, items(n))) for n in range(1, 6)]
    assert look(store, attempts, items(77), since=99).attempt == 1
    assert look(store, attempts, items(77), since=3).attempt == 3
    assert look(store, attempts, items(77), since=0).attempt == 5


def test_the_same_comparison_again_is_no_new_attempt(store):
    rows = keep_items(store, items(1, 2))
    attempts = [attempt(1, rows), attempt(2, rows), attempt(3, rows), attempt(4, rows)]
    assert look(store, attempts, items(1, 2), training="w3").attempt == 2
    repeated = [*attempts, attempt(5, rows, training="w2")]
    assert look(store, repeated, items(1, 2)).attempt == 4


def test_the_same_weights_on_other_rows_or_against_another_champion_are_one(store):
    """A row left out here and there would else be a try for nothing."""
    whole, less = keep_items(store, items(1, 2)), keep_items(store, items(1))
    attempts = [
        attempt(2, whole),
        attempt(3, less, training="w2"),
        attempt(4, whole, training="w2", champion_version=3),
    ]
    assert look(store, attempts, items(1, 2)).attempt == 4


def test_an_evaluation_done_again_sees_only_what_came_before_it(store):
    rows, more = keep_items(store, items(1, 2)), keep_items(store, items(1, 2, 3))
    attempts = [attempt(1, rows), attempt(2, more), attempt(3, more)]
    past = look(store, attempts, items(1, 2, 3), training="w2")
    assert past.new.tolist() == [False, False, True]
    assert past.attempt == 1


def test_only_attempts_that_new_items_judged_share_the_level_on_new_ones(store):
    judged = {"attempt_on_new_items": 1.0}
    rows = [keep_items(store, items(number)) for number in range(6)]
    attempts = [
        attempt(1, rows[1]),
        attempt(2, rows[2], metrics=judged),
        attempt(3, rows[3]),
        attempt(4, rows[4], metrics=judged),
    ]
    assert look(store, attempts, items(77), since=1).attempt_on_new == 3
    assert look(store, attempts, items(77), since=2).attempt_on_new == 2


@pytest.mark.parametrize("damage", ["gone", "changed", "cut"])
def test_without_the_items_of_an_attempt_none_is_new(store, damage):
    rows = keep_items(store, items(1, 2))
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
    assert "version 1, 2 was judged on" in past.note


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


def test_it_is_known_which_vanished_items_are_not_answered_with_numbers(
    store, snapshot
):
    """A wrong answer and none have one score in a classification."""
    import keras

    raw = keras.Input((2, 2, 1), dtype="uint8")
    light = keras.ops.relu(keras.ops.mean(keras.ops.cast(raw, "float32"), (1, 2)) - 15)
    lit = keras.ops.concatenate([light / light, light / light], axis=-1)
    once = attempt(1, keep_items(store, shas(2, 5)), snapshot_digest=snapshot.digest)
    found = answer_again(
        archive_of(store),
        {0: keras.Model(raw, lit), 1: keras.Model(raw, keras.ops.ones_like(lit))},
        *(GRAY, [once], items(77), task("classification").judge),
    )
    order = {digest: row for row, digest in enumerate(found.items.tolist())}
    dark, bright = (order[digest] for digest in shas(2, 5).tolist())
    assert not found.scores[0].answered[dark]
    assert found.scores[0].answered[bright]
    assert found.scores[1].answered.all()


@pytest.mark.parametrize("fillers", ["old items", "vanished items"])
def test_no_number_of_later_attempts_pushes_vanished_items_out(
    store, snapshot, fillers
):
    first = attempt(1, keep_items(store, shas(2, 5)), snapshot_digest=snapshot.digest)
    later = [
        attempt(
            *(n, keep_items(store, items(77, n if fillers == "vanished items" else 1))),
            snapshot_digest=f"gone{n}",
        )
        for n in range(2, 32)
    ]
    found = answer_again(
        *(archive_of(store), {}, GRAY, [first, *later], items(77, 1)),
        task("classification").judge,
    )
    assert sorted(found.items.tolist()) == sorted(shas(2, 5).tolist())
    assert found.unanswered == (30 if fillers == "vanished items" else 0)


def test_vanished_items_beyond_the_limit_count_as_unanswered(
    store, snapshot, monkeypatch
):
    monkeypatch.setattr(items_module, "ROWS", 1)
    once = attempt(1, keep_items(store, shas(2, 5)), snapshot_digest=snapshot.digest)
    judge = task("classification").judge
    found = answer_again(archive_of(store), {}, GRAY, [once], items(77), judge)
    assert (len(found.items), found.unanswered) == (1, 1)


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
