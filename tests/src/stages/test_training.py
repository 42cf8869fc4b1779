"""One training is one MLflow run, and that run says all about it."""

import hashlib
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from headrace.errors import IntegrityError, SpecError
from headrace.records import PrivacyRecord
from headrace.stages import training
from headrace.stages.fitting import loop
from headrace.stages.fitting.checkpoints import Checkpoints
from headrace.state.regular import file_digest
from headrace.state.store import Store
from headrace.state.tracking import GOLDEN_FILE, MODEL_FILE, Tracking

pytestmark = pytest.mark.system

Trained = Any


@pytest.fixture
def train(trained):
    """Train again in the home, with changes to the recipe."""

    def again(tags=None, **recipe):
        changed = trained.spec.training.model_copy(update=recipe)
        return training.train(
            trained.spec.model_copy(update={"training": changed}),
            trained.folder,
            "mlp",
            trained.snapshot,
            trained.contract,
            trained.settings,
            tags or {},
        )

    return again


def runs_of(trained):
    """All MLflow runs of the home, newest first."""
    client = Tracking(trained.settings).client
    experiments = [e.experiment_id for e in client.search_experiments()]
    return list(client.search_runs(experiments))


def test_two_trainings_are_two_finished_runs(trained):
    runs = {run.info.run_id: run for run in runs_of(trained)}
    assert set(runs) == {trained.weak.run_id, trained.good.run_id}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}


def test_the_run_has_the_whole_spec_as_parameters(trained):
    params = Tracking(trained.settings).client.get_run(trained.good.run_id).data.params
    assert params["training.epochs"] == "3"
    assert params["training.learning_rate"] == "0.05"
    assert params["training.nesterov"] == "True"
    assert params["model.arguments.hidden"] == "[16]"
    assert params["gates.accuracy.threshold"] == "0.9"
    assert params["data.test_fraction"] == "0.2"
    assert params["name"] == "blobs"


def test_the_run_has_the_metrics_of_every_epoch(trained):
    client = Tracking(trained.settings).client
    for name in ("train_loss", "train_accuracy", "val_loss", "val_accuracy"):
        history = client.get_metric_history(trained.good.run_id, name)
        assert [point.step for point in history] == [1, 2, 3]
    losses = client.get_metric_history(trained.good.run_id, "train_loss")
    assert losses[2].value < losses[0].value


def test_the_run_names_its_data_its_weights_and_its_flow(trained):
    tracking = Tracking(trained.settings)
    run = tracking.client.get_run(trained.good.run_id)
    (data,) = run.inputs.dataset_inputs
    assert trained.snapshot.digest.startswith(data.dataset.digest)
    assert data.dataset.name == "blobs", "the page shows the digest beside it"
    assert json.loads(data.dataset.profile) == trained.snapshot.rows
    tags = tracking.find_run(trained.good.run_id).tags
    assert tags["headrace.snapshot"] == trained.snapshot.digest
    assert tags["headrace.weights_digest"] == trained.good.weights_digest
    assert tags["headrace.flow_run_id"] == "f2"
    assert tags["headrace.pipeline"] == "blobs"
    assert tags["devices"] == "1 x cpu"


def test_people_see_few_tags_and_who_made_the_run_of_what(trained):
    run = Tracking(trained.settings).client.get_run(trained.good.run_id)
    assert {k for k in run.data.tags if not k.startswith("mlflow.")} == {
        "devices",
        "verdict",
    }
    assert run.data.tags["mlflow.user"] == "ada@lab"
    assert run.data.tags["mlflow.source.name"] == "blobs/pipeline.toml"
    experiment = Tracking(trained.settings).client.get_experiment_by_name("blobs")
    assert experiment.tags["mlflow.note.content"] == trained.spec.description


def test_a_run_is_named_by_its_pipeline_and_by_what_differs_from_the_file(
    trained, train
):
    client = Tracking(trained.settings).client
    changed = {"seed": 2, "epochs": 1}
    for changes, name in ((changed, "blobs epochs=1 seed=2"), ({}, "blobs")):
        record = train(**changes)
        assert client.get_run(record.run_id).info.run_name == name


def test_the_run_has_pictures_data_pipeline_and_golden_answers(trained):
    tracking = Tracking(trained.settings)
    files = [
        file.path
        for folder in ("pictures", "data", "pipeline", "golden")
        for file in tracking.client.list_artifacts(trained.good.run_id, folder)
    ]
    assert files == [
        "pictures/calibration.png",
        "pictures/confusion.png",
        "pictures/curves.png",
        "data/contract.json",
        "data/snapshot.json",
        "pipeline/ingredients.json",
        "pipeline/pipeline.toml",
        "pipeline/spec.json",
        "golden/golden.npz",
    ]
    golden = tracking.run_file(trained.good.run_id, GOLDEN_FILE)
    assert hashlib.sha256(golden).hexdigest() == trained.good.golden_digest
    with np.load(io.BytesIO(golden), allow_pickle=False) as arrays:
        assert arrays["items"].shape == (16, 8, 8, 1)
        assert arrays["outputs"].shape == (16, 3)
    snapshot = json.loads(tracking.run_file(trained.good.run_id, "data/snapshot.json"))
    assert snapshot["digest"] == trained.snapshot.digest


def test_the_record_names_the_logged_file(trained):
    tracking = Tracking(trained.settings)
    with tracking.model_file(trained.good.model_uri, trained.good.model_digest) as file:
        assert file_digest(file) == trained.good.model_digest
        assert file.stat().st_size == trained.good.model_bytes
    assert trained.good.description == trained.snapshot.description
    assert trained.good.metrics["val_accuracy"] == 1


def test_the_logged_model_has_a_signature_and_holds_no_pickle(trained):
    client = Tracking(trained.settings).client
    logged = client.get_logged_model(trained.good.model_uri.rpartition("/")[2])
    place = Path(logged.artifact_location.removeprefix("file://"))
    files = {file.name for file in place.rglob("*") if file.is_file()}
    assert Path(MODEL_FILE).name in files
    assert not {name for name in files if "pickle" in name or name.endswith(".pkl")}
    described = (place / "MLmodel").read_text()
    assert "signature:" in described
    assert "keras" in (place / "requirements.txt").read_text()


def test_the_same_seed_data_and_recipe_give_the_same_weights(trained, train):
    again = train()
    assert again.weights_digest == trained.good.weights_digest
    assert again.run_id != trained.good.run_id
    assert train(seed=2, epochs=1).weights_digest != trained.good.weights_digest


def test_a_training_that_goes_on_says_from_which_run_and_has_all_epochs(
    trained, tmp_path, monkeypatch
):
    recipe = trained.spec.training.model_copy(update={"checkpoint_steps": 1})
    spec = trained.spec.model_copy(update={"training": recipe})

    def train_on(kept):
        given = (spec, trained.folder, "mlp", trained.snapshot, trained.contract)
        return training.train(*given, trained.settings, {}, kept)

    real = Checkpoints.save

    def save_twice_and_die(self, state):
        real(self, state)
        if state.progress.epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", save_twice_and_die)
        with pytest.raises(KeyboardInterrupt):
            train_on(Checkpoints(Store(str(tmp_path / "kept")), "k", recipe))
    cut_off = runs_of(trained)[0].info.run_id
    record = train_on(Checkpoints(Store(str(tmp_path / "kept")), "k", recipe))
    assert record.weights_digest == trained.good.weights_digest
    client = Tracking(trained.settings).client
    tags = Tracking(trained.settings).find_run(record.run_id).tags
    assert tags["headrace.resumed_from"] == cut_off
    losses = client.get_metric_history(record.run_id, "train_loss")
    assert [point.step for point in losses] == [1, 2, 3]


@pytest.mark.parametrize(
    ("error", "status"),
    [(RuntimeError("no more memory"), "FAILED"), (KeyboardInterrupt(), "KILLED")],
)
def test_whatever_ends_a_training_ends_its_run(
    trained, train, monkeypatch, error, status
):
    def break_off(*_args):
        raise error

    monkeypatch.setattr(loop.Loop, "_validate", break_off)
    with pytest.raises(type(error)):
        train()
    assert [run.info.status for run in runs_of(trained)] == [status] + ["FINISHED"] * 2


def test_a_builder_that_does_not_fit_starts_no_run(trained):
    changed = trained.spec.model.model_copy(update={"arguments": {"hidden": ["many"]}})
    with pytest.raises(SpecError, match="The builder mlp failed"):
        training.train(
            trained.spec.model_copy(update={"model": changed}),
            trained.folder,
            "mlp",
            trained.snapshot,
            trained.contract,
            trained.settings,
            {},
        )
    assert len(runs_of(trained)) == 2


def test_a_damaged_snapshot_starts_no_run(trained, train):
    shard = Path(trained.snapshot.uri, "items", "0000.parquet")
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match="not the file that was written"):
        train()
    assert len(runs_of(trained)) == 2


@pytest.mark.parametrize(("delta", "warned"), [(1 / 400, True), (0.01 / 400, False)])
def test_a_delta_that_lets_one_row_be_published_is_warned_of(delta, warned):
    record = PrivacyRecord(
        epsilon=8, delta=delta, noise=1, clip=1, rate=0.1, rows=400, steps=9, seed="ab"
    )
    fitted = SimpleNamespace(privacy=record)
    findings = training._privacy_findings(fitted)
    assert [finding.check for finding in findings] == ["privacy"] * warned
    if warned:
        assert "delta is 0.0025, and train has 400 rows" in findings[0].message
