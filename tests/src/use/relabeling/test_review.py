"""A list of suspected labels, its review, and what the next ingestion makes of it."""

import csv
import io
import json
from collections import Counter
from pathlib import Path

import pytest
from tests.blobs import spec_of

from headrace.data.corrections import find_corrections
from headrace.data.snapshots.reading import read_shard, shards_of
from headrace.errors import IntegrityError
from headrace.media import medium
from headrace.planning import Plan
from headrace.records import DataDescription
from headrace.settings import Settings
from headrace.stages.ingestion import ingest
from headrace.state.home import Home as Opened
from headrace.use import relabeling
from headrace.use.relabeling.review import as_csv, values_of
from headrace.use.relabeling.suspects import Suspect


def settings_of(home):
    return Settings(project=home.project, home=home.path, user="ada@lab")


def labels_of(snapshot):
    labels = {}
    for shard in shards_of(snapshot):
        table = read_shard(snapshot, shard, ["item", "label"])
        items, given = table["item"].to_pylist(), table["label"].to_pylist()
        labels |= dict(zip(items, given, strict=True))
    return labels


def ingested(home):
    """The snapshot of a new ingestion of the pipeline."""
    settings, spec = settings_of(home), spec_of(home.project)
    plan = Plan(spec, home.project / "pipelines" / "blobs", Opened(settings))
    return ingest(
        spec.data, spec.medium, plan.home.store, settings, spec.task, plan.corrections
    )


@pytest.fixture
def suspicious(after_first, monkeypatch):
    """A home in which models disagree with the labels of three items."""
    labels = sorted(labels_of(ingested(after_first)).items())[:3]
    rows = [
        Suspect(0.9, item, f"=row[{number}]", "train", label, str((int(label) + 1) % 3))
        for number, (item, label) in enumerate(labels)
    ]
    monkeypatch.setattr(relabeling, "find_suspects", lambda *_: rows)
    return after_first


def reviewed(home, file, *decisions, **changed):
    """A reviewed list: decisions by row, and other values of the last row."""
    answer = home.headrace("relabel", "blobs", "--output", str(file), "--json")
    assert answer.exit_code == 0, answer.err
    rows = list(csv.DictReader(file.open()))
    for row, decision in zip(rows, decisions, strict=True):
        row["decision"] = decision
    rows[-1] |= changed
    with file.open("w", newline="") as target:
        writer = csv.DictWriter(target, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return file


def apply(home, file):
    return home.headrace("relabel", "blobs", "--apply", str(file), "--json")


def test_the_list_names_items_and_no_formula(suspicious, tmp_path):
    file = tmp_path / "list.csv"
    answer = suspicious.headrace("relabel", "blobs", "--output", str(file), "--json")
    assert (answer.json["count"], answer.json["reason"]) == (3, "3 labels to look at")
    rows = list(csv.DictReader(file.open()))
    assert [*rows[0]] == ["item", "name", "split", "label", "proposed", "decision"]
    assert [row["decision"] for row in rows] == ["", "", ""]
    assert rows[0]["name"] == "'=row[0]"
    assert len(rows[0]["item"]) == 64
    again = suspicious.headrace("relabel", "blobs", "--output", str(file), "--json")
    assert (again.exit_code, "is there already" in again.out) == (2, True)


def test_accepted_corrections_are_in_the_next_snapshot(suspicious, tmp_path):
    before = ingested(suspicious)
    file = reviewed(suspicious, tmp_path / "a.csv", "accept", "keep", "accept")
    answer = apply(suspicious, file).json
    assert (answer["status"], answer["corrected"]) == ("applied", 2)
    assert answer["decisions"] == {"accept": 2, "keep": 1}
    after = ingested(suspicious)
    old, new = labels_of(before), labels_of(after)
    changed = {item: (old[item], new[item]) for item in old if old[item] != new[item]}
    assert len(changed) == 2
    assert all(int(b) == (int(a) + 1) % 3 for a, b in changed.values())
    assert after.corrections == answer["digest"] != ""
    digest = answer["digest"][:16]
    assert f"2 labels were corrected (corrections {digest})" in after.notes
    assert after.digest != before.digest
    assert Counter(after.rows) == Counter(before.rows)


def test_they_can_be_repeated_and_taken_back(suspicious, tmp_path):
    before = ingested(suspicious)
    file = reviewed(suspicious, tmp_path / "a.csv", "accept", "skip", "")
    assert apply(suspicious, file).exit_code == 0
    assert apply(suspicious, file).json["corrected"] == 1
    known = find_corrections(Opened(settings_of(suspicious)).store, "blobs")
    assert (known.who, len(known.rows)) == ("ada@lab", 1)
    assert ingested(suspicious).digest != before.digest
    answer = suspicious.headrace("relabel", "blobs", "--withdraw", "--json").json
    assert (answer["status"], answer["corrected"]) == ("withdrawn", 0)
    assert ingested(suspicious) == before


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"item": "0" * 64}, "line 4: the last run's data has no item '0000"),
        ({"label": "7"}, "line 4: the last run's data has no item"),
        ({"proposed": "9"}, "line 4: the proposed label '9' is none of the classes"),
        ({"decision": "yes"}, "line 4: the decision 'yes' is unknown"),
    ],
)
def test_a_row_that_does_not_fit_is_named(suspicious, tmp_path, changed, message):
    file = reviewed(suspicious, tmp_path / "a.csv", *["accept"] * 3, **changed)
    answer = apply(suspicious, file)
    assert answer.exit_code == 1
    assert f"{file}, {message}" in json.loads(answer.out)["error"]["message"]
    assert not Path(settings_of(suspicious).store, "corrections").exists()


@pytest.mark.parametrize(
    ("write", "code", "message"),
    [
        (lambda file: file.write_text("item,label\n"), 1, "the column proposed is"),
        (lambda file: file.write_bytes(b"\xff\xfe\x00"), 1, "is not UTF-8"),
        (lambda file: None, 2, "cannot be read: No such file"),
    ],
)
def test_a_file_of_another_form_is_refused(suspicious, tmp_path, write, code, message):
    file = tmp_path / "a.csv"
    write(file)
    answer = apply(suspicious, file)
    assert (answer.exit_code, message in answer.out) == (code, True)


def test_corrections_that_were_changed_in_the_store_stop_a_run(suspicious, tmp_path):
    file = reviewed(suspicious, tmp_path / "a.csv", "accept", "keep", "keep")
    assert apply(suspicious, file).exit_code == 0
    [kept] = Path(settings_of(suspicious).store, "corrections").glob("*/*.json")
    kept.write_text(kept.read_text().replace("ada@lab", "eve@lab"))
    with pytest.raises(IntegrityError, match="corrected labels of blobs in "):
        ingested(suspicious)


def test_the_page_shows_the_items_and_loads_nothing(suspicious, tmp_path):
    file = tmp_path / "list.html"
    answer = suspicious.headrace(
        "relabel", "blobs", "--page", "--output", str(file), "--json"
    )
    assert answer.json["count"] == 3
    page = file.read_text()
    assert page.count('<img src="data:image/png;base64,') == 3
    assert "default-src &#39;none&#39;" in page
    assert "http" not in page.replace("http-equiv", "")


@pytest.mark.system
def test_where_models_agree_with_every_label_nothing_is_written(after_first, tmp_path):
    file = str(tmp_path / "list.csv")
    answer = after_first.headrace("relabel", "blobs", "--output", file, "--json")
    assert answer.exit_code == 0
    assert (answer.json["status"], answer.json["count"]) == ("listed", 0)
    assert "agree with every label" in answer.json["reason"]
    assert answer.json["file"] == ""
    assert not (tmp_path / "list.csv").exists()


def test_a_pipeline_that_has_not_run_has_no_labels(home):
    answer = home.headrace("relabel", "blobs", "--json")
    assert answer.exit_code == 2
    assert "headrace run blobs" in answer.json["reason"]


def test_the_list_of_texts_has_the_texts():
    data = DataDescription(medium="text", shape=(32,), classes=("a", "b"))
    texts = ["=SUM(1)", "You won't be\ndisappointed."]
    payload = medium("text").as_stored(texts, data)
    rows = [
        Suspect(0.9, str(n), f"a.csv line {n}", "train", "a", "b") for n in range(2)
    ]
    values = values_of(rows, {str(n): payload[n] for n in range(2)}, data)
    listed = list(csv.DictReader(io.StringIO(as_csv(values))))
    assert [row["text"] for row in listed] == ["'=SUM(1)", texts[1]]
    assert [*listed[0]][:3] == ["item", "name", "text"]
