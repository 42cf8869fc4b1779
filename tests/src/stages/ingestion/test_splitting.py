"""Rows are split by their content, so that a split never changes."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.src.stages.ingestion.conftest import (
    TEST,
    TRAIN,
    X,
    Y,
    read_items,
    write_npz,
    write_pngs,
)

from headrace.data.snapshots.reading import read_rejected
from headrace.errors import SourceError
from headrace.stages.ingestion.splitting import split_of


def test_the_split_is_a_threshold_on_the_content():
    low, high = "19999999" + "0" * 56, "1999999a" + "0" * 56
    assert (split_of(low, 0.1), split_of(high, 0.1)) == ("test", "train")


def test_the_split_of_many_items_never_changes_when_data_is_added(run, tmp_path):
    x = np.random.default_rng(7).integers(0, 256, (1200, 4, 5), np.uint8)
    y = np.arange(1200) % 2
    np.savez(tmp_path / "some.npz", x=x[:600], y=y[:600])
    np.savez(tmp_path / "more.npz", x=x, y=y)
    some = read_items(run(tmp_path / "some.npz"), ["item", "split"]).to_pydict()
    more = read_items(run(tmp_path / "more.npz"), ["item", "split"]).to_pydict()
    now = dict(zip(more["item"], more["split"], strict=True))
    tests = {i for i, s in zip(some["item"], some["split"], strict=True) if s == "test"}
    assert tests == {i for i in some["item"] if now[i] == "test"}
    assert tests == {i for i in some["item"] if split_of(i, 0.2) == "test"}
    assert 90 < len(tests) < 150


def _val_of(record):
    """Train and val together, and val as it ought to be, as (tail, item, label)."""
    rows = read_items(record, ["split", "item", "label"]).to_pylist()
    place = {"train": [], "val": [], "test": []}
    for row in rows:
        place[row["split"]].append((row["item"][-16:], row["item"], row["label"]))
    train = sorted(place["train"] + place["val"])
    return sorted(place["val"]), train[: min(1000, len(train) * 5 // 100)]


def test_val_is_the_twentieth_of_train_whose_hash_ends_lowest(run, tmp_path):
    np.savez(
        tmp_path / "a.npz",
        x_train=X[TRAIN],
        y_train=Y[TRAIN],
        x_test=X[TEST],
        y_test=Y[TEST],
    )
    found, expected = _val_of(run(tmp_path / "a.npz"))
    assert found == expected
    assert len(found) == 5


@pytest.mark.parametrize("copies", [2, 7, 60])
def test_equal_items_go_to_val_by_their_label(run, tmp_path, copies):
    x, y = np.repeat(X[:20], copies, axis=0), np.arange(20 * copies) % 2
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=X[TEST], y_test=Y[TEST])
    found, expected = _val_of(run(tmp_path / "a.npz"))
    assert found == expected


def test_val_has_at_most_1000_rows(run, tmp_path):
    x = np.random.default_rng(6).integers(0, 256, (20_100, 1, 4), np.uint8)
    np.savez(
        tmp_path / "big.npz",
        x_train=x[:20_050],
        y_train=np.arange(20_050) % 2,
        x_test=x[20_050:],
        y_test=np.arange(50) % 2,
    )
    found, expected = _val_of(run(tmp_path / "big.npz", shape=(1, 4, 1)))
    assert found == expected
    assert len(found) == 1000


def test_duplicates_stay_together(run, tmp_path):
    x = np.repeat(X[:50], 2, axis=0)
    np.savez(tmp_path / "a.npz", x=x, y=np.repeat(Y[:50], 2))
    table = read_items(run(tmp_path / "a.npz"), ["item", "split"]).to_pandas()
    assert table.query("split != 'test'").groupby("item").split.nunique().max() <= 2
    split = table.groupby("item").split.agg(lambda s: "|".join(sorted(set(s))))
    assert (split == "train|val").sum() <= 1
    assert not split[split.str.contains("test")].str.contains(r"\|").any()


def test_one_named_split_splits_nothing(run, tmp_path):
    np.savez(tmp_path / "a.npz", x_train=X, y_train=Y)
    np.savez(tmp_path / "b.npz", x=X, y=Y)
    record = run(tmp_path / "a.npz")
    assert record.rows["test"] > 0
    assert record.findings == ()
    assert record.digest == run(tmp_path / "b.npz").digest


def write_splits(path, **rows):
    items = {f"x_{split}": X[places] for split, places in rows.items()}
    labels = {f"y_{split}": Y[places] for split, places in rows.items()}
    np.savez(path, **items, **labels)


def test_validation_rows_that_lack_a_class_are_no_test(run, tmp_path):
    few = np.flatnonzero(Y != Y[0])[:5]
    write_splits(tmp_path / "a.npz", train=slice(None), val=few)
    record = run(tmp_path / "a.npz")
    assert record.rows["test"] > 5
    assert record.notes == (
        "5 validation rows lack classes of train: train, val and test are drawn anew "
        "from all rows.",
    )


def test_validation_rows_are_test_where_no_other_are(run, tmp_path):
    write_splits(tmp_path / "a.npz", train=TRAIN, val=TEST)
    record = run(tmp_path / "a.npz")
    assert record.digest == run(write_npz(tmp_path / "b.npz")).digest
    assert record.notes == (
        "20 validation rows are the test split, as no test split is named; val is "
        "taken from train.",
    )


def test_validation_rows_are_train_beside_a_test_split(run, tmp_path):
    write_splits(tmp_path / "a.npz", train=slice(60), val=slice(60, 100), test=TEST)
    record = run(tmp_path / "a.npz")
    assert record.digest == run(write_npz(tmp_path / "b.npz")).digest
    assert record.notes == ()


@pytest.mark.parametrize("named", ["x_train", "x_val"])
def test_one_split_alone_is_split_by_content(run, tmp_path, named):
    np.savez(tmp_path / "a.npz", **{named: X, named.replace("x", "y"): Y})
    np.savez(tmp_path / "b.npz", x=X, y=Y)
    record = run(tmp_path / "a.npz")
    assert record.digest == run(tmp_path / "b.npz").digest
    assert record.notes == ()


def test_unreadable_validation_rows_are_of_the_test_split(run, tmp_path):
    folder = write_pngs(tmp_path / "images")
    (folder / "test").rename(folder / "val")
    (folder / "val" / "0" / "bad.png").write_bytes(b"no image")
    rejected = read_rejected(run(folder))
    assert rejected.to_pydict()["split"] == ["test"]


def test_a_split_named_for_some_rows_only_is_refused(run, tmp_path):
    table = {
        "image": [X[0].ravel(), X[1].ravel()],
        "label": [0, 1],
        "split": ["test", None],
    }
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    with pytest.raises(SourceError, match=r"split of some items and not of others"):
        run(tmp_path / "a.parquet", shape=(4, 5))
