"""What an evaluation measures, beside the champion on the same rows."""

import json
from typing import Any

import numpy as np
import pytest
from tests.homes import open_logged

from headrace.data.snapshots.splits import read_split
from headrace.errors import IntegrityError
from headrace.models.logged import loading
from headrace.models.logged.loading import answers
from headrace.stages.evaluation import evaluate, is_logged
from headrace.stages.promotion import conclude
from headrace.stages.registration import register
from headrace.state.home import Home
from headrace.state.ledger import Ledger
from headrace.state.tracking import MODEL_FILE, Tracking
from headrace.tasks.classification.judge import JUDGE

Trained = Any


def gate(record, name):
    found = next(g for g in record.gates if g.name == name)
    return found


def test_the_metrics_are_those_of_the_logged_model_on_the_test_rows(trained):
    items, labels, *_ = read_split(trained.snapshot, "test")
    for record, seen in (
        (trained.weak, trained.weak_evaluation),
        (trained.good, trained.good_evaluation),
    ):
        model = open_logged(trained.settings, record)
        given = answers(model.model, items)
        judged = JUDGE.judged(given, labels, record.description)
        metrics, slices = judged.metrics(trained.spec.evaluation)
        assert {k: seen.metrics[k] for k in metrics} == pytest.approx(metrics, rel=1e-5)
        assert slices.keys() == {"class=0", "class=1", "class=2"}
        assert seen.slices.keys() == slices.keys()
        assert seen.metrics["model_megabytes"] == record.model_bytes / 1e6
        assert seen.metrics["latency_ms"] > 0


def test_easy_classes_are_told_apart(trained):
    metrics = trained.good_evaluation.metrics
    assert metrics["test_accuracy"] == 1
    assert metrics["test_class_recall_min"] == 1
    assert metrics["test_macro_f1"] == 1


def test_without_a_champion_the_gate_says_so(trained):
    seen = trained.weak_evaluation
    assert (seen.champion_version, seen.champion_sequence) == (None, 0)
    assert gate(seen, "champion").reason == "there was no champion to compare with"
    assert gate(seen, "serving").passed


def test_the_champion_is_measured_on_the_same_rows(trained):
    """The weak one has a third right, the good one all: 40 rows better, none worse."""
    seen = trained.good_evaluation
    found = gate(seen, "champion")
    assert seen.champion_version == 1
    assert (found.passed, found.p_value) == (True, pytest.approx(2.0**-40))
    assert found.value == found.p_value  # what the threshold is held against
    assert "40 better, 0 worse" in found.reason
    assert len(seen.rows_digest) == 64
    assert seen.metrics["champion_p_value"] == found.p_value
    assert (seen.metrics["compared_items"], seen.metrics["new_items"]) == (60, 0)


def test_an_epoch_that_few_validation_rows_have_chosen_is_told(trained):
    rows = len(read_split(trained.snapshot, "val")[0])
    told = f"{rows} validation rows are too few to choose the epoch by"
    (finding,) = [one for one in trained.good_evaluation.findings if one.split == "val"]
    assert finding.check == "few_rows"
    assert finding.message.startswith(told)


def test_every_gate_of_the_spec_and_the_serving_gate_answer(trained):
    names = [g.name for g in trained.good_evaluation.gates]
    assert names == ["accuracy", "finite", "latency", "champion", "serving"]


def test_the_run_gets_metrics_verdicts_and_a_report(trained):
    tracking = Tracking(trained.settings)
    data = tracking.client.get_run(trained.good.run_id).data
    assert data.metrics["test_accuracy"] == 1
    assert data.tags["verdict"] == "passed"
    (name,) = [name for name in data.metrics if "recall" in name]
    assert name == "test_class_recall_min"
    report = json.loads(
        tracking.run_file(trained.good.run_id, "evaluation/report.json")
    )
    assert report["metrics"]["test_accuracy"] == 1
    assert report["gates"][0]["name"] == "accuracy"


def test_metrics_of_classes_are_a_table_of_the_run(trained):
    tracking = Tracking(trained.settings)
    file = tracking.run_file(trained.good.run_id, "evaluation/class.json")
    table = json.loads(file)
    assert table["columns"] == ["class", "rows", "recall", "precision", "f1"]
    assert [row[0] for row in table["data"]] == ["0", "1", "2"]
    assert table["data"][0][2] == 1
    tags = tracking.client.get_run(trained.good.run_id).data.tags
    assert json.loads(tags["mlflow.loggedArtifacts"]) == [
        {"path": "evaluation/class.json", "type": "table"}
    ]


def test_the_logged_model_has_the_metrics_of_the_test_split(trained):
    client = Tracking(trained.settings).client
    model = client.get_logged_model(trained.good.model_uri.rpartition("/")[2])
    metrics = {metric.key: metric.value for metric in model.metrics}
    assert metrics["test_accuracy"] == 1


def test_the_most_confident_mistakes_are_drawn_where_there_are_any(trained):
    client = Tracking(trained.settings).client
    for record, drawn in ((trained.weak, True), (trained.good, False)):
        files = [f.path for f in client.list_artifacts(record.run_id, "pictures")]
        assert ("pictures/mistakes.png" in files) is drawn


def lose_champion(trained):
    for file in trained.settings.home.glob(f"mlartifacts/**/{MODEL_FILE}"):
        if trained.weak.model_uri.rpartition("/")[2] in str(file):
            file.unlink()


def test_a_champion_whose_file_is_gone_stays_champion(trained):
    tracking, settings = Tracking(trained.settings), trained.settings
    lose_champion(trained)
    place = (trained.snapshot, trained.contract)
    seen = evaluate(trained.spec, *place, trained.good, 1, Home(settings))
    found = gate(seen, "champion")
    assert not found.passed
    assert "the champion, version 1: The model models:/m-" in found.reason
    assert [g.name for g in seen.gates if not g.passed] == ["champion"]
    registered = register(
        trained.spec,
        trained.folder,
        trained.snapshot,
        trained.good,
        seen,
        Home(settings),
    )
    ended = conclude(trained.spec, seen, registered, Home(settings))
    assert ended.status == "registered"
    assert ended.reason.startswith("champion kept: the champion, version 1")
    champion = Ledger(settings.database_url).champion("blobs")
    assert champion is not None
    assert champion.version.version == 1
    assert tracking.client.get_registered_model("blobs").aliases == {
        "champion": 1,
        "challenger": 2,
    }


def test_damaged_data_is_not_taken_for_a_lost_model(trained):
    for shard in trained.settings.home.glob("store/snapshots/*/items/*.parquet"):
        shard.write_bytes(b"")
    place = (trained.snapshot, trained.contract)
    with pytest.raises(IntegrityError, match="parquet is not the file"):
        evaluate(trained.spec, *place, trained.good, None, trained.home)
    assert is_logged(trained.good, trained.home)


def test_a_training_whose_file_is_gone_is_not_evaluated(trained):
    for file in trained.settings.home.glob(f"mlartifacts/**/{MODEL_FILE}"):
        file.write_bytes(b"")
    with pytest.raises(IntegrityError, match="the file was changed or damaged"):
        evaluate(
            trained.spec,
            trained.snapshot,
            trained.contract,
            trained.good,
            None,
            trained.home,
        )
    assert not is_logged(trained.good, trained.home)


def test_probabilities_of_a_kept_model_do_not_move(trained, monkeypatch):
    model = open_logged(trained.settings, trained.good)
    items = read_split(trained.snapshot, "test")[0]
    at_once = answers(model.model, items)
    monkeypatch.setattr(loading, "BLOCK", 7)
    in_blocks = answers(model.model, items)
    assert np.abs(at_once - in_blocks).max() < 1e-6
