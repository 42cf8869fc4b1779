"""Experiments: the view that MLflow's pages open, and runs named by their versions."""

import json
import shutil

import pytest

from headrace.settings import Settings
from headrace.state.tracking import Tracking
from headrace.state.tracking.experiments import PIPELINE_TAG, VIEW_TAG, view_of
from headrace.state.tracking.runs import TITLE_TAG
from headrace.tasks import Task

MOST = 5000  # characters of a tag of an experiment
VIEW = view_of("accuracy", ["test_accuracy", "test_log_loss", "test_calibration_error"])


@pytest.fixture
def tracking(mlflow_database, tmp_path):
    shutil.copy(mlflow_database, tmp_path / "mlflow.db")
    return Tracking(Settings(project=tmp_path, home=tmp_path))


def saved_view(tracking, name):
    experiment = tracking.client.get_experiment_by_name(name)
    return json.loads(experiment.tags[VIEW_TAG])


@pytest.fixture
def make_run(tracking):
    def make(name, **tags):
        tags = {PIPELINE_TAG: name, "headrace.process": "gone", **tags}
        with tracking.run(name, "a name", tags) as (run_id, experiment_id):
            return run_id, experiment_id

    return make


def test_the_view_has_version_verdict_metrics_and_data_and_charts_of_both():
    view = json.loads(VIEW)
    assert view["selectedColumns"] == [
        "tags.`version`",
        "tags.`verdict`",
        "metrics.`test_accuracy`",
        "metrics.`test_log_loss`",
        "attributes.`Dataset`",
    ]
    shown = [(chart["metricKey"], chart["type"]) for chart in view["compareRunCharts"]]
    assert shown == [
        ("train_accuracy", "LINE"),
        ("val_accuracy", "LINE"),
        ("test_accuracy", "BAR"),
        ("train_loss", "LINE"),
        ("val_loss", "LINE"),
        ("test_log_loss", "BAR"),
    ]
    open_ = [s["name"] for s in view["compareRunSections"] if s["display"]]
    assert open_ == [view["compareRunCharts"][0]["metricSectionId"]]


@pytest.mark.parametrize(
    "name",
    "classification regression tagging generation transcription synthesis".split(),
)
def test_every_task_has_a_view_that_mlflow_can_keep(name, tracking):
    task = Task(name)
    view = view_of(task.training_score, [*task.shown])
    assert f"metrics.`{task.headline}`" in json.loads(view)["selectedColumns"]
    tracking.experiment(name, view=view)
    assert saved_view(tracking, name)["state"] == view
    assert len(json.dumps(saved_view(tracking, name))) < MOST


def test_a_view_is_kept_until_another_is_given(tracking):
    number = tracking.experiment("digits", "about", VIEW)
    assert tracking.experiment("digits") == number
    assert saved_view(tracking, "digits")["state"] == VIEW
    other = view_of("f1", ["test_micro_f1", "test_macro_f1"])
    tracking.experiment("digits", view=other)
    assert saved_view(tracking, "digits")["state"] == other


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("digits", "digits v3"),
        ("digits epochs=30 seed=2", "digits v3 epochs=30 seed=2"),
        ("", "a name"),  # an older release's
    ],
)
def test_a_run_is_named_by_its_version_and_keeps_its_title(
    tracking, make_run, title, name
):
    run_id, _ = make_run("digits", **({TITLE_TAG: title} if title else {}))
    tracking.log_params(run_id, {"epochs": 10})
    for _ in range(2):
        tracking.name_by_version(run_id, 3)
        assert tracking.client.get_run(run_id).info.run_name == name
    found = tracking.params_of_last("digits", title or "digits")
    assert found == ({"epochs": "10"} if title else {})
