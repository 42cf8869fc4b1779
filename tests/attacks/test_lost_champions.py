"""A run on a champion whose model is lost says so, and a repair brings it back."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.attacks.conftest import headrace

from headrace.models.logged.loading import load_champion
from headrace.settings import Settings
from headrace.state.ledger import Ledger
from headrace.state.tracking import MODEL_FILE
from headrace_ops.doctor.checks import check_models

Trained = Any


@pytest.fixture(scope="module")
def _ran(tmp_path_factory, project, mlflow_database):
    """A home after a real run of ``blobs``."""
    home = tmp_path_factory.mktemp("ran") / "home"
    settings = Settings(project=project, home=home, user="ada@lab")
    settings.prepare_home()
    shutil.copy(mlflow_database, home / "mlflow.db")
    answer = headrace(settings, "run", "blobs", "--json")
    assert answer.returncode == 0, answer.stderr
    return settings


@pytest.fixture
def ran(_ran, copy_of, tmp_path):
    """A copy of that home."""
    home = copy_of(_ran.home, tmp_path / "home")
    return _ran.model_copy(
        update={"home": home, "store": str(home / "store")}
        | {"database_url": f"sqlite:///{home}/headrace.db"}
    )


def only_model(settings):
    [file] = settings.home.glob(f"mlartifacts/blobs/models/*/artifacts/{MODEL_FILE}")
    return file


def lose_for_good(settings):
    """Leave no model, no copy and no record to train from; gives its run in MLflow."""
    run_id = Ledger(settings.database_url).version("blobs", 1).run_id
    shutil.rmtree(Path(settings.store) / "models")
    shutil.rmtree(settings.home / "mlartifacts" / "blobs" / run_id)
    only_model(settings).unlink()
    return run_id


def run(settings, *arguments):
    """The answer of ``headrace run``, which did not fail."""
    answer = headrace(settings, "run", "blobs", *arguments, "--json")
    assert answer.returncode == 0, answer.stderr + answer.stdout
    found = json.loads(answer.stdout)
    return found


def repair(settings):
    """The answer of ``headrace verify --repair``."""
    words = ("verify", "blobs/1", "--repair", "--json")
    (found,) = json.loads(headrace(settings, *words).stdout)["repairs"]
    return found


def warnings(answer):
    """What a run says of versions that are not as registered."""
    return [w["message"] for w in answer["warnings"] if w["check"] == "version"]


@pytest.mark.integration
def test_a_run_compares_with_a_lost_champion_and_a_repair_restores_it(ran):
    """The store has a copy: the run uses it, and changes nothing of the champion."""
    model = only_model(ran)
    before = model.read_bytes()
    model.unlink()
    answer = headrace(ran, "run", "blobs", "--set", "training.seed=9", "--json")
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout)
    [warning] = warnings(found)
    assert warning.endswith("Run `headrace verify blobs/1 --repair`.")
    assert warning in answer.stderr
    [gate] = [gate for gate in found["gates"] if gate["name"] == "champion"]
    assert gate["value"] is not None, gate["reason"]
    assert not model.exists()
    done = repair(ran)
    assert (done["version"], done["status"]) == (1, "restored")
    assert model.read_bytes() == before
    assert warnings(run(ran)) == []


@pytest.mark.integration
def test_a_lost_champion_is_trained_again_and_the_new_file_is_judged(ran):
    model = only_model(ran)
    shutil.rmtree(Path(ran.store) / "models")
    model.write_bytes(b"not a model")
    assert repair(ran)["status"] == "rebound"
    answer = run(ran)
    assert (answer["version"], warnings(answer)) == (1, [])
    ledger = Ledger(ran.database_url)
    assert [b.version for b in ledger.bindings("blobs")] == [1]
    assert len(ledger.versions("blobs")) == 1
    assert load_champion("blobs", ran).version == 1
    again = run(ran)
    assert (again["status"], warnings(again)) == ("unchanged", [])


@pytest.mark.integration
def test_a_champion_that_only_a_new_training_can_replace_is_bound_to_it(ran):
    """Neither a copy nor a record to train from: equal weights are the same version."""
    run_id = lose_for_good(ran)
    answer = run(ran)
    assert len(warnings(answer)) == 2, "the model's file, and the golden answers"
    assert answer["version"] == 1
    bound = Ledger(ran.database_url).version("blobs", 1)
    assert bound.run_id == answer["run_id"] != run_id
    assert load_champion("blobs", ran).version == 1
    again = run(ran)
    assert (again["status"], warnings(again)) == ("unchanged", [])


@pytest.mark.integration
def test_a_run_on_a_champion_that_nothing_can_bring_back_says_so(ran):
    """The weights are others now, so the champion stays lost and is never replaced."""
    lose_for_good(ran)
    answer = run(ran, "--set", "training.seed=9")
    assert answer["version"] == 2
    assert answer["status"] == "registered"
    assert all("headrace verify blobs/1 --repair" in text for text in warnings(answer))
    [check] = check_models(ran)
    assert (check.state, check.fix) == ("wrong", "headrace verify blobs --repair")
