"""Files of the store that were edited or damaged are found, and made again.

Each is one of a run of the packaged digits that its gates refused, and the same command
is run again.
"""

import json
import shutil

import pytest
from tests.homes import Home, states

from headrace.settings import Settings
from headrace.state.ledger import Ledger

WEAK = ("training.epochs=1", "training.learning_rate=0.002")
COMMAND = ("run", "digits", *(f"--set={text}" for text in WEAK), "--json")


@pytest.fixture(scope="module")
def refused(tmp_path_factory, mlflow_database, prefect_server):
    """A home whose only run was refused by its gates, and what it answered."""
    place = tmp_path_factory.mktemp("refused")
    (place / "pipelines").mkdir()
    home = Home(place / "home", place)
    Settings(project=place, home=home.path).prepare_home()
    shutil.copy(mlflow_database, home.path / "mlflow.db")
    answer = home.headrace(*COMMAND)
    assert answer.exit_code == 1, answer.err
    found = answer.json
    assert found["status"] == "refused"
    assert found["metrics"]["test_accuracy"] < 0.88
    return home, found


@pytest.fixture
def edited(refused, copy_of, tmp_path):
    """A copy of it, to be edited."""
    return Home(copy_of(refused[0].path, tmp_path / "home"), refused[0].project)


def settings_of(home):
    return Settings(project=home.project, home=home.path, user="ada@lab")


def saved_of(home, stage):
    """The kept result of a stage: its file and what is in it."""
    for file in (home.path / "store" / "stages").glob("*.json"):
        saved = json.loads(file.read_text())
        if saved["stage"] == stage:
            return file, saved
    raise AssertionError(stage)


def write_everywhere(home, stage, saved):
    """Edit a stage's result wherever the store has it."""
    text = json.dumps(saved, indent=1, sort_keys=True)
    saved_of(home, stage)[0].write_text(text)
    (home.path / "store" / "pipelines" / "digits" / f"{stage}.json").write_text(text)


def assert_nothing_was_gained(answer, truth):
    found = answer.json
    assert answer.exit_code == 1, answer.err
    assert (found["status"], found["aliases"]) == ("refused", [])
    for name in ("test_accuracy", "test_log_loss", "test_class_recall_min"):
        assert found["metrics"][name] == pytest.approx(truth["metrics"][name], abs=1e-6)
    assert found["weights_digest"] == truth["weights_digest"]


def test_an_edited_evaluation_promotes_nothing(edited, refused):
    file, saved = saved_of(edited, "evaluate")
    saved["record"]["metrics"]["test_accuracy"] = 0.99
    for gate in saved["record"]["gates"]:
        gate |= {"passed": True, "reason": ""}
        gate["value"] = gate["threshold"]
    write_everywhere(edited, "evaluate", saved)
    answer = edited.headrace(*COMMAND)
    assert_nothing_was_gained(answer, refused[1])
    assert states(answer.json)["evaluate"] == "completed"
    assert f"{file} is not the file that the ledger recorded" in answer.err
    assert Ledger(settings_of(edited).database_url).history("digits") == []


DAMAGE = {
    "another record": b'{"record": {"x": 1}}',
    "null": b"null",
    "not UTF-8": b'{"record": "\xff\xfe"}',
    "deep": b"[" * 100_000,
}


def damage(file, kind):
    if kind == "half":
        data = file.read_bytes()
        file.write_bytes(data[: len(data) // 2])
    else:
        file.write_bytes(DAMAGE[kind])


def test_a_run_mends_a_store_whose_files_are_all_damaged(edited, refused):
    kinds = [*DAMAGE, "half"]
    files = sorted(
        file for file in (edited.path / "store").rglob("*") if file.is_file()
    )
    for number, file in enumerate(files):
        damage(file, kinds[number % len(kinds)])
    answer = edited.headrace(*COMMAND)
    assert_nothing_was_gained(answer, refused[1])
    assert set(states(answer.json).values()) == {"completed"}
    again = edited.headrace(*COMMAND)
    assert_nothing_was_gained(again, refused[1])
