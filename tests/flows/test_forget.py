"""``headrace forget`` leaves no trace of a text in a whole home, Prefect's included."""

import csv
import hashlib
import json
import random
from pathlib import Path

import pytest
from tests.homes import Home
from tests.traces import traces

LEARNED = "quibberley wandered past seven crooked lanterns while nobody watched him"
ASKED = "plomberry sings under the green bridge until every lamp is lit again"
WORDS = {
    "good": ["lovely", "great", "happy", "bright", "warm", "kind"],
    "bad": ["awful", "sad", "angry", "dark", "cold", "rude"],
}
PIPELINE = """
description = "Notes, good or bad"
medium = "text"
data = { source = "notes.csv", item = "text", label = "label" }
model.builder = "bag_of_ngrams"
training = { epochs = 2, seed = 1 }
evaluation = { depth = "quick" }
gates = [{ name = "accuracy", threshold = 0.5 }]
"""


def write_notes(path, rows, one, seed):
    """Notes of both labels, and one more that is good."""
    draw = random.Random(seed)
    places = ["house", "road", "river", "town", "field", "garden"]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([("text", "label"), (one, "good")])
        for row in range(rows):
            label = ("good", "bad")[row % 2]
            words = [*draw.choices(WORDS[label], k=4), *draw.choices(places, k=5)]
            writer.writerow((" ".join(draw.sample(words, 9)), label))
    return path


def needles(text):
    """What would tell of a text: itself, a word that is only in it, and its digest."""
    sha256 = hashlib.sha256(text.encode())
    return {
        "text": text.encode(),
        "word": text.split(maxsplit=1)[0].encode(),
        "digest": sha256.digest(),
        "hex": sha256.hexdigest().encode(),
        "start": sha256.hexdigest()[:16].encode(),
    }


@pytest.fixture
def notes(tmp_path):
    """A home that has learned from a text, and was monitored on another one."""
    home = Home(tmp_path / "home", tmp_path / "project")
    folder = home.project / "pipelines" / "notes"
    folder.mkdir(parents=True)
    (folder / "pipeline.toml").write_text(PIPELINE)
    write_notes(folder / "notes.csv", 240, LEARNED, 0)
    done(home, "run", "notes")
    window = write_notes(tmp_path / "window.csv", 80, ASKED, 1)
    done(home, "monitor", "notes", "--data", str(window))
    return home


def done(home, *words):
    process = home.start(*words, "--json")
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    answer = json.loads(out)
    return answer


def test_neither_a_learned_text_nor_one_that_was_asked_leaves_a_trace(notes):
    before = traces(notes.path, needles(LEARNED))
    assert not any(path.startswith("prefect/") for path in before)
    assert any(path.startswith("store/snapshots/") for path in before)
    asked = [path for path in traces(notes.path, needles(ASKED)) if "monitor" in path]
    assert [Path(path).name for path in asked] == ["monitor.html"], "digests are keyed"

    sha256 = hashlib.sha256(ASKED.encode()).hexdigest()
    deleted = done(notes, "forget", "notes", "--item", sha256, "--yes")["deleted"]
    assert deleted["kept scores"] == 1
    assert traces(notes.path, needles(ASKED)) == {}

    sha256 = hashlib.sha256(LEARNED.encode()).hexdigest()
    answer = done(notes, "forget", "notes", "--item", sha256, "--yes")
    assert answer["rows"] == {"train": 1}
    left = traces(notes.path, needles(LEARNED))
    assert all(path.endswith("model.keras") for path in left), left
    assert {*map(frozenset, left.values())} == {frozenset({"word"})}, "of a vocabulary"
    assert done(notes, "verify")["collected"]["forgotten snapshots"] == 1
