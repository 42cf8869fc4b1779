"""MLflow's registry and the ledger tell on each other; a lost registry ends no home."""

import sqlite3
from typing import Any

import pytest

from headrace.evidence.repair import repair
from headrace.evidence.verification import verify
from headrace.stages.registration import register
from headrace.state.tracking import Tracking

Trained = Any  # version 1 of it is the champion


def write(settings, *statements):
    """What somebody does who may write MLflow's database."""
    with sqlite3.connect(settings.home / "mlflow.db") as database:
        for statement in statements:
            database.execute(statement)
    database.close()


def lose_the_registry(settings):
    tables = ("model_version_tags", "registered_model_aliases", "model_versions")
    write(settings, *(f"DELETE FROM {name}" for name in (*tables, "registered_models")))


def register_the_good_one(trained):
    t = trained
    return register(
        t.spec, t.folder, t.snapshot, t.good, t.good_evaluation, t.home
    ).version


def problem_of(trained):
    """The first thing that does not fit; empty where all does."""
    found = verify(trained.settings).problem
    return found.message if found else ""


def checkpoint(file):
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()


def test_a_lost_registry_is_told_and_the_next_version_has_a_number_of_its_own(trained):
    lose_the_registry(trained.settings)
    problem = problem_of(trained)
    assert "no version 1 of blobs, which is the champion" in problem
    assert register_the_good_one(trained) == 2
    _, listed = Tracking(trained.settings).registered("blobs")
    assert set(listed) == {2}
    assert register_the_good_one(trained) == 2


REMEDIED = [
    ("UPDATE registered_model_aliases SET version = 7", "alias champion"),
    ("DELETE FROM registered_model_aliases", "alias champion"),
]


@pytest.mark.parametrize(("statement", "said"), REMEDIED)
def test_repair_puts_right_what_verify_found(trained, statement, said):
    assert problem_of(trained) == ""
    write(trained.settings, statement)
    assert said in problem_of(trained)
    done = repair("blobs/1", trained.settings).done
    assert any("MLflow" in step for step in done), done
    assert problem_of(trained) == ""


@pytest.mark.parametrize("keeps", [0, 1])
def test_an_older_or_an_empty_ledger_in_its_place_is_told(trained, keeps):
    file = trained.settings.home / "headrace.db"
    checkpoint(file)
    older = file.read_bytes()
    register_the_good_one(trained)
    checkpoint(file)
    for beside in trained.settings.home.glob("headrace.db*"):
        beside.unlink()
    if keeps:
        file.write_bytes(older)
    problem = problem_of(trained)
    expected = "version 2 of blobs" if keeps else "the model blobs"
    assert f"MLflow has {expected}, and the ledger has n" in problem
