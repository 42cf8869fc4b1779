"""Splits that keep groups together."""

import hashlib
import json
from dataclasses import replace

import pytest
from pydantic import ValidationError

from headrace.data.corrections import ForgottenItems
from headrace.data.snapshots.reading import read_shard, shards_of
from headrace.errors import SpecError
from headrace.pipeline import DataSpec
from headrace.stages.ingestion import ingest
from headrace.state.store import Store


def rows_of(snapshot):
    return [
        row
        for shard in shards_of(snapshot)
        for row in read_shard(snapshot, shard, ["split", "group", "name"]).to_pylist()
    ]


@pytest.fixture
def write(tmp_path):
    """JSON lines of short texts by some authors, ten of each."""

    def write_(authors, split=False):
        path = tmp_path / "texts.jsonl"
        lines = []
        for number in range(authors * 10):
            row = {
                "text": f"number {number} is {'odd' if number % 2 else 'even'} today",
                "label": ["even", "odd"][number % 2],
                "author": f"author {number // 10}",
            }
            if split:
                row["split"] = "test" if number % 5 == 0 else "train"
            lines.append(json.dumps(row))
        path.write_text("\n".join(lines))
        return path

    return write_


def made(path, settings, **fields):
    data = DataSpec(source=str(path), **fields)
    return ingest(data, "text", Store(settings.store), settings)


def test_a_group_is_in_train_or_in_test(write, settings):
    snapshot = made(write(20), settings, group="author")
    tested = {r["group"] for r in rows_of(snapshot) if r["split"] == "test"}
    others = {r["group"] for r in rows_of(snapshot) if r["split"] != "test"}
    assert not tested & others
    assert snapshot.rows["test"] == 40  # a fifth of 200


def test_of_few_groups_at_least_one_is_tested_and_one_is_not(write, settings):
    snapshot = made(write(2), settings, group="author")
    assert snapshot.rows["test"] == 10
    assert made(write(2), settings, group="author").digest == snapshot.digest


def test_named_groups_are_the_test_split_whatever_the_source_says(write, settings):
    path = write(4, split=True)
    named = {"group": "author", "test_groups": ("author 2",)}
    snapshot = made(path, settings, **named)
    tested = {r["group"] for r in rows_of(snapshot) if r["split"] == "test"}
    assert tested == {"author 2"}
    assert snapshot.rows["test"] == 10


def test_a_split_of_the_source_stays_beside_groups(write, settings):
    snapshot = made(write(4, split=True), settings, group="author")
    assert snapshot.rows["test"] == 8
    assert {row["group"] for row in rows_of(snapshot)} == {
        f"author {number}" for number in range(4)
    }


def test_groups_change_the_digest(write, settings):
    path = write(4, split=True)
    grouped = made(path, settings, group="author")
    assert grouped.digest != made(path, settings).digest


def test_an_unknown_group_or_a_single_one_is_refused(write, settings):
    path = write(3)
    with pytest.raises(SpecError, match=r"no group 'eve'.*author 0, author 1"):
        made(path, settings, group="author", test_groups=("eve",))
    with pytest.raises(ValidationError, match="does not say in which column"):
        DataSpec(source=str(path), test_groups=("author 1",))
    with pytest.raises(SpecError, match=r"only one group.*, or leave it out"):
        made(write(1), settings, group="author")


def test_a_forgotten_group_of_test_is_to_be_taken_out(write, settings):
    key = ForgottenItems("people", "ab" * 32)
    forgotten = replace(key, marks=frozenset({key.mark_group("author 1")}))

    def ingest_(*groups):
        data = DataSpec(source=str(path), group="author", test_groups=groups)
        store = Store(settings.store)
        return ingest(data, "text", store, settings, forgotten=forgotten)

    path = write(3)
    with pytest.raises(SpecError, match="has 'author 1', which headrace forget") as no:
        ingest_("author 1", "author 2")
    assert no.value.action == "Take 'author 1' out of data.test_groups."
    assert ingest_("author 2").rows["test"] == 10
    with pytest.raises(SpecError, match="no group 'eve'"):
        ingest_("eve")


@pytest.mark.parametrize(
    "chosen",
    [
        {"test_fraction": 0.8},
        {"test_fraction": 0.8, "group": "author"},
        {"group": "author", "test_groups": ("author 0", "author 1", "author 2")},
    ],
)
def test_a_large_test_split_that_was_asked_for_is_no_finding(write, settings, chosen):
    record = made(write(4), settings, **chosen)
    assert record.rows["test"] > 20
    assert not record.findings


def groups_by_split(snapshot):
    groups = {"train": set(), "val": set(), "test": set()}
    for row in rows_of(snapshot):
        groups[row["split"]].add(row["group"])
    return groups


def test_val_has_groups_of_its_own_where_test_has_them(write, settings):
    """A temperature that is chosen on known voices promises too much of others."""
    snapshot = made(write(20), settings, group="author")
    groups = groups_by_split(snapshot)
    assert not groups["val"] & groups["train"]
    assert not groups["val"] & groups["test"]
    assert snapshot.rows == {"train": 150, "val": 10, "test": 40}


@pytest.mark.parametrize(("authors", "is_apart"), [(6, True), (5, False)])
def test_of_few_groups_none_is_given_up_for_val(write, settings, authors, is_apart):
    """One of five groups of train is a fifth of it; one of four would be more."""
    path = write(authors)
    named = {"group": "author", "test_groups": ("author 0",)}
    groups = groups_by_split(made(path, settings, **named))
    assert groups["val"]
    assert groups["val"].isdisjoint(groups["train"]) is is_apart


def test_rows_of_known_groups_are_val_where_test_has_known_groups(write, settings):
    groups = groups_by_split(made(write(20, split=True), settings, group="author"))
    assert groups["val"] <= groups["train"]


def test_a_group_that_alone_has_a_class_stays_in_train(tmp_path, settings):
    first, second, *_ = authors = sorted(map(str, range(12)), key=by_hash)
    lines = [
        {"text": f"{author} {number}", "label": label, "author": author}
        for author in [*authors, "of test"]
        for number in range(10)
        for label in ["rare" if author in {first, "of test"} else "plain"]
    ]
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    snapshot = made(path, settings, group="author", test_groups=("of test",))
    assert groups_by_split(snapshot)["val"] == {second}


def by_hash(group):
    return hashlib.sha256(group.encode()).digest()
