"""A split by luck: few items, and a test split that is nearly all of one class."""

import csv
import json
from collections import Counter

import pytest
from tests.homes import Home

from headrace.data.snapshots.reading import read_shard, shards_of
from headrace.pipeline import DataSpec
from headrace.settings import Settings
from headrace.stages.ingestion import ingest
from headrace.state.store import Store
from headrace.use.inspecting import inspect

LABELS = [("a", "b"), ("ham", "spam"), ("0", "1", "2"), tuple("abcdefgh")]


@pytest.fixture
def write(tmp_path):
    """Texts and their labels as a table."""

    def write_(rows):
        path = tmp_path / "letters.csv"
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *rows])
        return path

    return write_


def balanced(rows, labels, seed):
    return [
        (f"letter {n} of pile {seed}", labels[n % len(labels)]) for n in range(rows)
    ]


def counts_of(path, folder):
    """Rows of each split and label."""
    settings = Settings(project=folder, home=folder / "home")
    data = DataSpec(source=str(path))
    snapshot = ingest(data, "text", Store(settings.store), settings)
    return Counter(
        (row["split"], row["label"])
        for shard in shards_of(snapshot)
        for row in read_shard(snapshot, shard, ["split", "label"]).to_pylist()
    )


@pytest.mark.parametrize("labels", LABELS, ids="-".join)
@pytest.mark.parametrize("seed", range(2))
def test_the_test_split_of_60_balanced_rows_is_balanced(write, tmp_path, labels, seed):
    counts = counts_of(write(balanced(60, labels, seed)), tmp_path)
    tests = [counts["test", label] for label in labels]
    assert max(tests) - min(tests) <= 1
    assert abs(sum(tests) - 12) <= len(labels) / 2
    assert all(counts["train", label] >= 2 for label in labels)


def seen(path, folder):
    settings = Settings(project=folder, home=folder / "home").prepare_home()
    return inspect(DataSpec(source=str(path)), "text", "classification", settings)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("rows", [10, 100])
def test_a_good_model_passes_the_gate_that_is_written_for_few_rows(
    write, tmp_path, rows, seed
):
    found = seen(write(balanced(rows, "ab", seed)), tmp_path)
    assert found.survey.gates == [{"name": "accuracy", "threshold": 0.75}]
    (warning,) = found.warnings
    assert warning.check == "few_rows"
    assert f"the {rows // 5:,} test rows are too few" in warning.message
    assert "which takes 36: it asks for 75.0%" in warning.message


@pytest.fixture
def headrace(tmp_path):
    home = Home(tmp_path / "home", tmp_path)
    (tmp_path / "pipelines" / "letters").mkdir(parents=True)
    pipeline = tmp_path / "pipelines" / "letters" / "pipeline.toml"
    pipeline.write_text('medium = "text"\n[data]\nsource = "../../letters.csv"\n')
    return home.headrace


def test_a_class_of_one_item_is_refused_with_the_number_needed(write, headrace):
    path = write([*balanced(60, "ab", 0), ("the only one", "rare")])
    answer = headrace("check", "letters", "--data", str(path), "--json")
    assert answer.exit_code == 1
    reason = json.dumps(answer.json)
    assert (
        "test holds no item of class rare; a class needs at least 2 different items, "
        "one in train and one in test, and rare has 1." in reason
    )
