"""A private training of the packaged digits by the command line."""

import json
import re
from pathlib import Path

import pytest
from tests.homes import Home, rows_of

from headrace.evidence.report_files import find_report
from headrace.settings import Settings

pytestmark = pytest.mark.integration

PRIVATE = (
    "--set",
    "training.privacy.epsilon=8",
    "--set",
    "training.learning_rate=0.05",
)
SECRET = "only the test knows this, and no record"


def place(tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    return Home(tmp_path / "home", project)


def test_the_packaged_digits_are_learned_privately(tmp_path, monkeypatch):
    home = place(tmp_path)
    monkeypatch.setenv("HEADRACE_PRIVACY_SEED", SECRET)
    process = home.start("run", "digits", *PRIVATE, "--json")
    out, err = process.communicate(timeout=600)
    ran = json.loads(out)
    assert process.returncode in (0, 1), err  # the gates are of a plain training
    assert ran["metrics"]["test_accuracy"] > 0.8
    assert ran["warnings"] == [w for w in ran["warnings"] if w["check"] != "privacy"]
    assert re.search(r"private, noise 0\.7\d+ for epsilon 8 at delta 2\.6e-06", err)
    assert re.search(r"epoch 10/10 .* epsilon (7\.9|8)", err)
    privacy = ran["privacy"]
    assert 7.9 < privacy["epsilon"] <= 8
    assert privacy["seed"] == Settings(privacy_seed=SECRET).privacy_fingerprint

    settings = Settings(home=home.path, project=home.project)
    logged = "SELECT value FROM latest_metrics WHERE key = 'epsilon'"
    [(epsilon,)] = rows_of(home.path / "mlflow.db", logged)
    assert epsilon == pytest.approx(privacy["epsilon"])
    page = Path(find_report("digits", settings)).read_text(encoding="utf-8")
    assert "differentially private for each row of train" in page
    for file in home.path.rglob("*"):
        if file.is_file():
            assert SECRET.encode() not in file.read_bytes(), file

    again = home.headrace("reproduce", ran["run_id"], "--json")
    assert again.json["status"] == "same", again.err
    monkeypatch.delenv("HEADRACE_PRIVACY_SEED")
    without = home.headrace("reproduce", ran["run_id"])
    assert without.exit_code == 2
    assert "follow from a secret that is not known here" in without.err


def test_a_network_that_cannot_be_private_is_refused_at_once(tmp_path):
    answer = place(tmp_path).headrace(
        "check", "digits", *PRIVATE, "--set", "model.builder=cnn"
    )
    assert answer.exit_code == 2
    assert "(BatchNormalization) mixes the rows of a batch" in answer.err
    searched = Home(tmp_path / "home", tmp_path / "project").headrace(
        "tune", "digits", *PRIVATE[:2], "--set", "training.learning_rate=log(0.01,1)"
    )
    assert searched.exit_code == 2
    assert "each trial of a search would spend epsilon again" in searched.err
