"""A run registers a new version in place of one whose files are lost."""

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
    """Leave no model, no copy and no golden answers."""
    run_id = Ledger(settings.database_url).version("blobs", 1).run_id
    shutil.rmtree(Path(settings.store) / "models")
    shutil.rmtree(settings.home / "mlartifacts" / "blobs" / run_id)
    only_model(settings).unlink()


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
def test_a_run_registers_a_version_in_place_of_one_that_is_lost(ran):
    """Of equal weights; a person promotes it, as nothing is left to compare it with."""
    lost = Ledger(ran.database_url).version("blobs", 1)
    lose_for_good(ran)
    assert repair(ran)["status"] == "failed"
    answer = run(ran)
    assert len(warnings(answer)) == 2, "the model's file, and the golden answers"
    assert (answer["version"], answer["status"]) == (2, "registered")
    version = Ledger(ran.database_url).version("blobs", 2)
    assert version.weights_digest == lost.weights_digest
    assert version.run_id == answer["run_id"] != lost.run_id
    assert Ledger(ran.database_url).version("blobs", 1) == lost
    again = run(ran)
    assert again["version"] == 2
    states = {stage["name"]: stage["state"] for stage in again["stages"]}
    assert states["train"] == "cached"
    words = ("promote", "blobs", "2", "--force", "--reason", "1 is lost", "--json")
    assert headrace(ran, *words).returncode == 0
    assert load_champion("blobs", ran).version == 2
    assert warnings(run(ran)) == []
