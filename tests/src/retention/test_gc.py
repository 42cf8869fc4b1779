"""``headrace gc``: what nothing needs is deleted, and all that is needed stays."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from tests.src.state.ledger.conftest import run, setting

from headrace.errors import DependencyError
from headrace.models.logged.loading import load_version
from headrace.retention import collection
from headrace.state.ledger import holding
from headrace.state.ledger.holding import (
    COLLECTING,
    heartbeat,
    hold,
    wait_for_collection,
)
from headrace.state.tracking import Tracking

pytestmark = pytest.mark.system

ALL = ("gc", "--older", "0", "--json")
KILLED = Path(__file__).parents[2] / "flows" / "killed.py"


def collected(answer):
    return {one["kind"]: one["count"] for one in answer["collected"]}


def check_needed(many):
    """What is needed is whole: the champion, the newest version, and their data."""
    answer = many.home.headrace("verify", "--json")
    assert answer.exit_code == 0, answer.out
    assert answer.json["missing"] == {}
    for number in (1, 4):
        version = many.ledger.version("blobs", number)
        load_version(Tracking(many.settings), version)
        assert (Path(many.settings.store) / "models" / version.model_digest).is_dir()
        (repair,) = many.home.repaired(f"blobs/{number}")
        assert repair["status"] == "sound", repair


def check_rest_is_gone(many):
    for number in (2, 3):
        version = many.ledger.version("blobs", number)
        assert many.ledger.facts.is_deleted(version)
        assert not [name for name in many.files if version.run_id in name]
        assert not [name for name in many.files if version.model_digest in name]
    assert not [name for name in many.files if many.other.digest in name]
    assert {*Tracking(many.settings).registered("blobs")[1]} == {1, 4}


def test_by_default_what_is_young_is_kept(many):
    before = many.files
    answer = many.home.headrace("gc", "--json")
    assert (answer.exit_code, answer.json["collected"]) == (0, [])
    assert "nothing to collect" in answer.json["reason"]
    assert many.files == before
    assert many.ledger.facts.deleted() == {}


def test_a_dry_run_says_what_a_run_then_deletes(many):
    before = many.files
    planned = many.home.headrace(*ALL, "--dry-run").json
    assert many.files == before
    assert many.ledger.facts.deleted() == {}
    done = many.home.headrace(*ALL).json
    assert (planned["dry_run"], done["dry_run"]) == (True, False)
    assert (planned["collected"], planned["bytes"]) == (
        done["collected"],
        done["bytes"],
    )
    after = many.files
    freed = sum(map(len, before.values())) - sum(map(len, after.values()))
    assert freed == done["bytes"]
    assert collected(done) == {
        "versions": 2,
        "stage records": 6,
        "MLflow runs": 3,
        "MLflow models": 3,
        "copies of models": 2,
        "snapshots": 1,
        "reference models": 3,
    }
    page = many.home.headrace("gc", "--older", "0")
    assert "there is nothing to collect" in page.out
    check_needed(many)
    check_rest_is_gone(many)


def test_what_is_collected_for_good_is_a_fact_that_verify_counts(
    many,
):
    head = many.ledger.walk_chain().head
    done = many.home.headrace(*ALL).json
    assert many.ledger.head() == head
    found = many.ledger.facts.deleted()
    assert found[f"snapshots/{many.other.digest}"] == "snapshots"
    verified = many.home.headrace("verify", "--json").json
    assert collected(done).items() >= verified["collected"].items()
    assert verified["collected"] == {"versions": 2, "snapshots": 1}
    assert (verified["missing"], verified["checked"]["models"]) == ({}, 2)
    assert (
        "deleted by headrace gc or forget: 2 versions"
        in many.home.headrace("verify").out
    )


@pytest.mark.parametrize(
    "command",
    [
        ("promote", "blobs", "2", "--force", "--reason", "x"),
        ("export", "blobs/2", "--evidence", "--output", "two.tar"),
        ("open", "blobs/2"),
        ("explain", "blobs/2", "0"),
    ],
    ids=lambda command: command[0],
)
def test_whatever_needs_a_collected_version_says_so(many, command):
    many.home.headrace(*ALL)
    answer = many.home.headrace(*command, "--json")
    assert answer.exit_code == 1
    assert "were deleted by `headrace gc` or `headrace forget`" in answer.json["reason"]


POINTS = [
    ("headrace.state.ledger.facts:Facts.record_deleted", "before"),
    ("headrace.state.ledger.facts:Facts.record_deleted", "after"),
    ("headrace.state.tracking.disposal:Disposal.delete_version", "after:2"),
    ("headrace.state.tracking.disposal:Disposal._delete_artifacts", "after:2"),
    ("headrace.state.store:Store.delete_folder", "before:3"),
]


@pytest.mark.parametrize(
    ("place", "when"),
    [
        POINTS[0],
        *(pytest.param(*p, marks=pytest.mark.integration) for p in POINTS[1:]),
    ],
)
def test_a_killed_collection_loses_nothing_and_the_next_one_ends_it(many, place, when):
    process = subprocess.run(
        [sys.executable, str(KILLED), place, when, *ALL],
        env={**os.environ, **many.home.environment},
        cwd=many.home.project,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr
    check_needed(many)
    assert many.home.headrace(*ALL).exit_code == 0
    check_rest_is_gone(many)
    check_needed(many)
    assert many.home.headrace(*ALL).json["collected"] == []


@pytest.mark.parametrize("is_changed", [False, True])
def test_with_an_older_or_changed_ledger_nothing_is_deleted(many, is_changed):
    """What an older one does not know would be deleted as needed by nothing."""
    home, database = many.home, many.home.path / "headrace.db"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        old = many.home.path / "old.db"
        connection.execute("VACUUM INTO ?", [str(old)])
    promoted = home.headrace("promote", "blobs", "4", "--force", "--reason", "it")
    assert promoted.exit_code == 0, promoted.out
    before = many.files
    if is_changed:
        change = setting("sqlite", "run_id", "x", "kind = 'version' AND sequence = 2")
        run(many.settings.database_url, change)
    else:
        old.replace(database)
        for end in ("-wal", "-shm"):
            database.with_name(f"headrace.db{end}").unlink(missing_ok=True)
    answer = home.headrace(*ALL)
    assert answer.exit_code == 1
    assert "ledger" in answer.out.casefold()
    assert many.files == before


def test_what_a_run_in_progress_may_use_is_kept(many):
    before = many.files
    with hold(many.settings, "blobs", "run-1"):
        answer = many.home.headrace(*ALL).json
    assert (answer["collected"], answer["in_progress"]) == ([], ["blobs"])
    assert many.files == before
    with heartbeat(many.settings, "run-2", "blobs"):  # a run that waits, or trains
        assert many.home.headrace(*ALL).json["collected"] == []
    with hold(many.settings, "another", "run-3"):
        answer = many.home.headrace(*ALL).json
    assert answer["in_progress"] == ["another"]
    assert {*collected(answer)} == {"versions", "MLflow runs", "MLflow models"}
    assert collected(many.home.headrace(*ALL).json) == {
        "stage records": 6,
        "copies of models": 2,
        "snapshots": 1,
        "reference models": 3,
    }


def test_a_run_waits_for_a_collection_and_two_collections_do_not_overlap(
    many, monkeypatch
):
    waited = []
    with hold(many.settings, COLLECTING, "gc-1") as held:
        other = many.home.headrace(*ALL)
        assert other.exit_code == 3
        assert "Another `headrace gc`" in other.json["reason"]

        def sleep(seconds):
            waited.append(seconds)
            held.close(succeeded=True)

        monkeypatch.setattr(holding.time, "sleep", sleep)
        wait_for_collection(many.settings)
    assert len(waited) == 1


def test_a_version_promoted_after_the_marking_is_kept(many, monkeypatch):
    mark = collection.mark

    def promoted_meanwhile(*arguments):
        marked = mark(*arguments)
        many.ledger.promote(
            *("blobs", 2), who="bo", why="x", expected_sequence=1, forced=True
        )
        return marked

    before = many.files
    with monkeypatch.context() as patch:
        patch.setattr(collection, "mark", promoted_meanwhile)
        with pytest.raises(DependencyError, match="changed while") as caught:
            collection.collect(many.settings, 0.0)
    assert "Run `headrace gc` again" in caught.value.action
    assert many.files == before
    done = collection.collect(many.settings, 0.0)
    assert not many.ledger.facts.is_deleted(many.ledger.version("blobs", 2))
    assert many.ledger.facts.is_deleted(many.ledger.version("blobs", 3))
    assert "snapshots" not in {one.kind for one in done.collected}
    assert many.home.headrace("verify", "--json").json["missing"] == {}


def test_runs_of_other_ledgers_are_not_collected(many, monkeypatch):
    """MLflow may be shared; only runs of this ledger's versions are surely ours."""
    uri = f"sqlite:///{many.home.path}/mlflow.db?timeout=9"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    done = many.home.headrace(*ALL, "--dry-run").json
    assert collected(done)["MLflow runs"] == 2, "of versions 2 and 3"


@pytest.mark.parametrize("words", [("--older", "-1"), ("--older", "1000000")])
def test_a_policy_that_keeps_too_little_is_refused(many, words):
    answer = many.home.headrace("gc", *words, "--json")
    assert answer.exit_code == 2
    assert words[0] in answer.json["reason"]
