"""A class with few items gives its share of them to test, whatever the hashes are."""

import hashlib
import json
from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa
import pytest

from headrace.data.snapshots.reading import shards_of
from headrace.media.arrow import as_binary, write_table
from headrace.pipeline import DataSpec
from headrace.stages import ingestion
from headrace.stages.ingestion import ingest
from headrace.stages.ingestion.keys import SPLITS, keys_of
from headrace.stages.ingestion.runs import SortedFile
from headrace.stages.ingestion.splitting import find_splits, split_of
from headrace.stages.ingestion.strata import size_of_test, small_below
from headrace.state.store import Store
from headrace.tasks import task

Row = tuple[str, str]  # content, label


def sha(content):
    return hashlib.sha256(content.encode()).digest()


@pytest.fixture
def write_runs(tmp_path):
    """Rows in some files, each sorted by item as decoding leaves them."""

    def write(rows, files=1, split=""):
        runs = []
        for number in range(min(files, len(rows))):
            mine = sorted(
                (sha(content), label, content) for content, label in rows[number::files]
            )
            path = tmp_path / f"{len(list(tmp_path.iterdir()))}.run"
            items = np.frombuffer(b"".join(item for item, _, _ in mine), np.uint8)
            texts = {
                "label": [label for _, label, _ in mine],
                "name": [name for _, _, name in mine],
                "group": [""] * len(mine),
            }
            columns = {
                name: pa.array(text, pa.string()) for name, text in texts.items()
            }
            write_table(path, {"item": as_binary(items.reshape(-1, 32)), **columns})
            labels = frozenset(texts["label"])
            runs.append(SortedFile(path, split, (), len(mine), labels))
        return runs

    return write


@pytest.fixture
def split(write_runs):
    """The rows and their splits."""

    def split_(rows, files=1, fraction=0.2):
        keys = keys_of(write_runs(rows, files), by_label=True)
        data = DataSpec(source="made", test_fraction=fraction)
        splits = find_splits(keys, (), data, task("classification"))
        texts = keys.read(np.arange(len(rows)))
        contents = texts["name"].to_pylist(), texts["label"].to_pylist()
        made = [SPLITS[split] for split in splits.rows]
        assert splits.test == made.count("test")
        return sorted(zip(*contents, made, strict=True))

    return split_


def rows_of(sizes, seed):
    return [(f"{seed} {c} {n}", c) for c, size in sizes.items() for n in range(size)]


def of_classes(found):
    counts = defaultdict(Counter)
    for _, label, of in found:
        counts[label][of] += 1
    return counts


def test_how_few_items_are_few():
    assert [small_below(f) for f in (0.2, 0.5, 0.1, 0.8)] == [250, 100, 500, 250]
    assert [size_of_test(n, 0.2) for n in (0, 1, 2, 3, 7, 8, 12, 13, 30, 249)] == [
        *(0, 0, 1, 1, 1, 2, 2, 3, 6, 50)
    ]
    assert [size_of_test(n, 0.9) for n in (1, 2, 3, 10)] == [0, 1, 2, 9]


@pytest.mark.parametrize("seed", range(60))
def test_each_class_has_its_share_in_test_and_some_in_train(split, seed):
    draw = np.random.default_rng(seed)
    fraction = float(draw.choice([0.05, 0.1, 0.2, 0.3, 0.5]))
    sizes = {
        f"class {n}": int(draw.integers(1, draw.choice([4, 12, 60])))
        for n in range(draw.integers(1, 9))
    }
    rows = rows_of(sizes, seed)
    found = of_classes(split(rows, fraction=fraction))
    for label, size in sizes.items():
        assert found[label]["test"] == size_of_test(size, fraction)
        if size >= 2:
            assert found[label]["test"] >= 1
            assert found[label]["train"] >= 1
        if size >= 4:
            assert found[label]["train"] >= 2 or fraction > 0.2
    trained = sum(sizes.values()) - sum(c["test"] for c in found.values())
    val = sum(c["val"] for c in found.values())
    assert val <= trained * 5 // 100


@pytest.mark.parametrize("seed", range(20))
def test_neither_order_nor_files_change_it(split, seed):
    draw = np.random.default_rng(seed)
    rows = rows_of({"a": 40, "b": 7, "c": 3, "d": 1, "large": 300}, seed)
    rows += [(content, "b") for content, _ in rows[::9]]  # equal items, other labels
    rows += rows[::4]  # equal rows
    plain = split(rows)
    mixed = [rows[place] for place in draw.permutation(len(rows))]
    assert split(mixed, int(draw.integers(2, 40))) == plain


@pytest.mark.parametrize("seed", range(20))
def test_equal_items_never_lie_on_both_sides(split, seed):
    draw = np.random.default_rng(seed)
    names = ["a", "b", "c"]
    rows = [
        (f"{seed} {content}", label)
        for content in range(60)
        for label in draw.choice(names, draw.integers(1, 4)).tolist()
    ]
    rows += [(f"{seed} other {n}", "large") for n in range(260)]
    rows += [(f"{seed} {n}", "large") for n in range(5)]
    sides = defaultdict(set)
    for content, _, of in split(rows, files=3):
        sides[content].add(of == "test")
    assert all(len(side) == 1 for side in sides.values())


def test_items_of_several_labels_are_split_by_the_threshold(split):
    both = [(f"both {n}", label) for n in range(50) for label in "ab"]
    found = split([*both, *rows_of({"a": 10, "b": 10}, 0)])
    for content, _, of in found:
        if content.startswith("both"):
            tested = split_of(sha(content).hex(), 0.2) == "test"
            assert (of == "test") == tested
    alone = [row for row in found if not row[0].startswith("both")]
    assert {label: c["test"] for label, c in of_classes(alone).items()} == {
        "a": 2,
        "b": 2,
    }


def test_a_large_class_is_split_by_the_threshold_beside_a_small_one(split):
    rows = rows_of({"large": 300, "small": 10}, 0)
    found = split(rows)
    larges = {content: of for content, label, of in found if label == "large"}
    for content, of in larges.items():
        assert (of == "test") == (split_of(sha(content).hex(), 0.2) == "test")
    assert of_classes(found)["small"]["test"] == 2
    one_more = split([*rows, ("one more", "large")])
    assert {content for content, _, of in one_more if of == "test"} - {"one more"} == {
        content for content, _, of in found if of == "test"
    }


def test_the_items_of_lowest_rank_are_test_and_those_after_them_val(split):
    found = split(rows_of({"a": 100, "b": 100}, 0))
    for label in "ab":
        order = sorted((sha(c), of) for c, of_label, of in found if of_label == label)
        assert [of for _, of in order] == ["test"] * 20 + ["val"] * 4 + ["train"] * 76


def test_most_items_stay_where_they_are_when_a_small_class_grows(split):
    moved = 0
    for seed in range(20):
        rows = rows_of({"a": 220, "b": 220}, seed)
        before = {content: of == "test" for content, _, of in split(rows[:420])}
        after = {content: of == "test" for content, _, of in split(rows)}
        moved += sum(before[content] != after[content] for content in before)
    assert moved < 20 * 420 * 0.01


def test_labels_of_one_class_give_its_share_together(write_runs):
    both = {"red": "colour", "blue": "colour"}
    runs = write_runs(rows_of({"red": 5, "blue": 5, "round": 10}, 3), files=2)
    keys = keys_of(runs, by_label=True, strata=lambda rows: both)
    assert sorted(keys.labels.distinct) == ["colour", "round"]
    splits = find_splits(keys, (), DataSpec(source="made"), task("classification"))
    labels = keys.read(np.arange(20))["label"].to_pylist()
    tested = Counter(
        both.get(label, label)
        for label, split in zip(labels, splits.rows, strict=True)
        if SPLITS[split] == "test"
    )
    assert tested == {"colour": 2, "round": 2}


def test_other_processes_and_other_files_give_the_same_snapshot(
    tmp_path, settings, monkeypatch
):
    rows = [
        json.dumps({"text": f"letter {n} of {'abc'[n % 3]}", "label": "abc"[n % 3]})
        for n in range(90)
    ]
    (tmp_path / "one.jsonl").write_text("\n".join(rows))
    (tmp_path / "turned.jsonl").write_text("\n".join(reversed(rows)))
    for number, row in enumerate(map(json.loads, rows)):
        part = tmp_path / "parts" / row["label"] / f"{number}.txt"
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(row["text"])

    def made(name, bits):
        monkeypatch.setattr(ingestion, "prefix_bits", lambda *_: bits)
        store = Store(str(tmp_path / f"store {bits}"))
        source = str(tmp_path / name)
        return ingest(DataSpec(source=source), "text", store, settings)

    plain = made("one.jsonl", 0)
    assert plain.rows == {"train": 69, "val": 3, "test": 18}
    several = made("turned.jsonl", 3)
    assert len(list(shards_of(several))) == 8  # written by other processes
    assert plain.digest == several.digest == made("parts", 2).digest


def test_a_split_of_the_source_is_left_as_it_is(write_runs):
    runs = write_runs(rows_of({"a": 10, "b": 10}, 0), split="train")
    runs += write_runs(rows_of({"a": 3}, 1), split="test")
    keys = keys_of(runs, by_label=True)
    splits = find_splits(keys, (), DataSpec(source="made"), task("classification"))
    made = Counter(SPLITS[split] for split in splits.rows)
    assert made == {"train": 19, "val": 1, "test": 3}
    assert (splits.rows[-3:] == SPLITS.index("test")).all()
