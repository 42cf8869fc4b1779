"""Near copies of test items in train."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.data.snapshots.reading import read_shard, shards_of
from headrace.pipeline import PipelineSpec
from headrace.records import DataDescription
from headrace.stages.ingestion import ingest
from headrace.stages.validation import near, validate
from headrace.state.store import Store

SPLITS = np.array(["test", "train", "val", "train"], object)


def _equal(first, second):
    return np.ones(len(first), bool)


def _prints(*values):
    return np.array(values, np.uint64)


def _changed(prints, bits, rng):
    """The prints with so many other bits each."""
    places = np.argsort(rng.random((len(prints), 64)), axis=1)[:, :bits]
    masks = np.bitwise_or.reduce(np.uint64(1) << places.astype(np.uint64), axis=1)
    return prints ^ masks


def test_the_nearest_copy_of_a_test_item_is_found_in_train_and_val():
    found = near.near_copies(
        _prints(0xFF00, 0xFF01F, 0xFF01, 0xF0F0F0F0), SPLITS, _equal
    )

    assert found.test.tolist() == [0]
    assert found.train.tolist() == [2]
    assert (found.share, found.complete) == (1.0, True)


def test_a_pair_that_differs_does_not_count():
    prints = _prints(0xFF00, 0xFF07, 0xFF01, 0xFF03)

    found = near.near_copies(prints, SPLITS, lambda first, second: second == 1)

    assert found.train.tolist() == [1]
    nothing = near.near_copies(prints, SPLITS, lambda first, second: second < 0)
    assert (nothing.test.tolist(), nothing.share) == ([], 0.0)


@pytest.mark.parametrize("bits", [0, 1, 3, 6, 12, 13])
def test_copies_of_up_to_12_bits_are_found_among_others(bits):
    rng = np.random.default_rng(bits)
    train = rng.integers(1, 2**64, 5000, np.uint64)
    test = _changed(train[:500], bits, rng) if bits else train[:500]
    splits = np.array(["test"] * 500 + ["train"] * 5000, object)

    found = near.near_copies(np.concatenate([test, train]), splits, _equal)

    right = found.train == found.test + 500
    assert right.sum() == (500 if bits <= 12 else 0)


def test_of_a_large_data_set_the_first_test_items_are_looked_at(monkeypatch):
    monkeypatch.setattr(near, "PAIRS", 60)
    monkeypatch.setattr(near, "LEAST_TESTED", 2)
    prints = np.full(40, 7, np.uint64)

    for trained, tested in ((20, 3), (39, 1), (35, 2)):
        splits = np.array(["train"] * trained + ["test"] * (40 - trained), object)
        found = near.near_copies(prints, splits, _equal)
        assert (found.tested, found.share) == (tested, 1.0)


def test_items_without_a_fingerprint_or_a_split_are_left_out():
    prints = _prints(0, 0, 0xFF, 0xFF, 0xFF)
    splits = np.array(["test", "train", "test", "", "train"], object)

    found = near.near_copies(prints, splits, _equal)

    assert (found.test.tolist(), found.train.tolist()) == ([2], [4])
    assert found.tested == 1


@pytest.mark.parametrize("splits", [["test"] * 3, ["train"] * 3, [""] * 3])
def test_where_a_split_is_empty_nothing_is_found(splits):
    found = near.near_copies(_prints(1, 1, 1), np.array(splits, object), _equal)

    assert (len(found.test), found.share) == (0, 0.0)


def test_where_all_are_near_each_item_is_looked_at_a_few_times():
    asked = []

    def compare(first, second):
        asked.extend(zip(first.tolist(), second.tolist(), strict=True))
        return np.zeros(len(first), bool)

    splits = np.array(["test"] * 500 + ["train"] * 2000, object)
    near.near_copies(np.full(2500, 7, np.uint64), splits, compare)

    assert len(asked) == len(set(asked)) == near.NEAREST * 500


def test_the_nearest_pairs_come_first_where_not_all_are_asked_for():
    prints = _prints(0xFF00, 0xAB000000, 0xFF07, 0xAB000001)
    splits = np.array(["test", "test", "train", "train"], object)

    found = near.near_copies(prints, splits, _equal, most=1)

    assert (found.test.tolist(), found.train.tolist()) == ([1], [3])
    assert not found.complete
    assert near.near_copies(prints, splits, _equal, most=9).complete


@pytest.mark.parametrize("pair_bytes", [near.PAIR_BYTES, 2**10])  # large items, too
def test_the_medium_looks_at_the_items_themselves(
    tmp_path, write_snapshot, monkeypatch, pair_bytes
):
    monkeypatch.setattr(near, "PAIR_BYTES", pair_bytes)
    monkeypatch.setattr(near, "_AT_ONCE", pair_bytes)
    rng = np.random.default_rng(0)
    train = rng.integers(40, 200, (30, 4, 4), np.uint8).repeat(6, 1).repeat(6, 2)
    copies, others = train[:3] + np.uint8(9), 255 - train[3:6]
    payload = np.concatenate([copies, others, train])[..., None]
    names = [str(row) for row in range(len(payload))]
    splits = ["test"] * 6 + ["train"] * 30
    data = DataDescription(medium="image", shape=(24, 24, 1), classes=("a", "b"))
    snapshot = write_snapshot(
        Store(str(tmp_path)),
        data,
        payload,
        {"split": splits, "label": ["a", "b"] * 18, "name": names},
    )
    shards = [read_shard(snapshot, shard) for shard in shards_of(snapshot)]
    placed = [name for shard in shards for name in shard["name"].to_pylist()]
    row = {name: place for place, name in enumerate(placed)}

    alike, most = near.comparison(snapshot)

    pairs = [("0", "6"), ("1", "7"), ("2", "8"), ("3", "9"), ("0", "7")]
    first, second = (np.array([row[p[i]] for p in pairs]) for i in (0, 1))
    assert alike(first, second).tolist() == [True, True, True, False, False]
    assert most == max(1, pair_bytes // (2 * 24 * 24))


LINES = [
    f"{first}{second}三四五" for first in "春夏秋冬东西南北" for second in "天地玄黄"
]


def poem(*numbers):
    return "，".join(LINES[number] for number in numbers) + "。"


def a_spec(source, task="generation"):
    data = {"source": str(source), "quarantine_limit": 0.5}
    values = {"name": "poems", "medium": "text", "task": task, "data": data}
    return PipelineSpec.model_validate(values)


@pytest.fixture
def source(tmp_path):
    train = [poem(4 * n, 4 * n + 1, 4 * n + 2, 4 * n + 3) for n in range(5)]
    test = [poem(0, 1, 22, 23), poem(0, 24, 25, 26), poem(27, 28, 29, 30)]
    table = {
        "text": train + test,
        "label": ["a", "b"] * 4,
        "split": ["train"] * 5 + ["test"] * 3,
    }
    pq.write_table(pa.table(table), tmp_path / "poems.parquet")
    return tmp_path / "poems.parquet"


def test_half_of_a_document_in_train_sets_it_aside(source, settings):
    spec, store = a_spec(source), Store(settings.store)
    snapshot = ingest(spec.data, spec.medium, store, settings, spec.task)
    record = validate(spec, snapshot, store, settings)
    assert record.quarantined == 1
    assert record.rows["test"] == 2
    (finding,) = [one for one in record.findings if one.check == "partial_leak"]
    assert "half of it or more is in train, line by line" in finding.message
    assert "poems.parquet row 6" in finding.message


def test_other_tasks_do_not_ask(source, settings):
    spec, store = a_spec(source, "classification"), Store(settings.store)
    snapshot = ingest(spec.data, spec.medium, store, settings, spec.task)
    record = validate(spec, snapshot, store, settings)
    assert record.quarantined == 0
