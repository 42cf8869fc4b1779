"""Experiments, and runs named by their versions."""

import shutil

import pytest

from headrace.settings import Settings
from headrace.state.tracking import Tracking
from headrace.state.tracking.runs import PIPELINE_TAG, TITLE_TAG


@pytest.fixture
def tracking(mlflow_database, tmp_path):
    shutil.copy(mlflow_database, tmp_path / "mlflow.db")
    return Tracking(Settings(project=tmp_path, home=tmp_path))


@pytest.fixture
def make_run(tracking):
    def make(name, **tags):
        tags = {PIPELINE_TAG: name, "headrace.process": "gone", **tags}
        with tracking.run(name, "a name", tags) as (run_id, experiment_id):
            return run_id, experiment_id

    return make


def test_an_experiment_is_made_once_and_described_anew(tracking):
    number = tracking.experiment("digits", "about")
    assert tracking.experiment("digits") == number
    assert tracking.experiment("digits", "other") == number
    experiment = tracking.client.get_experiment_by_name("digits")
    assert experiment.tags["mlflow.note.content"] == "other"


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
