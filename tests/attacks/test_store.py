"""Files of the store that were damaged are found, and made again.

Each is one of a run of the packaged digits that its gates refused, and the same command
is run again.
"""

import shutil

import pytest
from tests.homes import Home, states

from headrace.settings import Settings

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
def damaged(refused, copy_of, tmp_path):
    """A copy of it, to be damaged."""
    return Home(copy_of(refused[0].path, tmp_path / "home"), refused[0].project)


def assert_nothing_was_gained(answer, truth):
    found = answer.json
    assert answer.exit_code == 1, answer.err
    assert (found["status"], found["aliases"]) == ("refused", [])
    for name in ("test_accuracy", "test_log_loss", "test_class_recall_min"):
        assert found["metrics"][name] == pytest.approx(truth["metrics"][name], abs=1e-6)
    assert found["weights_digest"] == truth["weights_digest"]


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


def test_a_run_mends_a_store_whose_files_are_all_damaged(damaged, refused):
    kinds = [*DAMAGE, "half"]
    files = sorted(
        file for file in (damaged.path / "store").rglob("*") if file.is_file()
    )
    for number, file in enumerate(files):
        damage(file, kinds[number % len(kinds)])
    answer = damaged.headrace(*COMMAND)
    assert_nothing_was_gained(answer, refused[1])
    assert set(states(answer.json).values()) == {"completed"}
    again = damaged.headrace(*COMMAND)
    assert_nothing_was_gained(again, refused[1])
