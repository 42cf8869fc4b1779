"""A home of before the house: all that is in it is still told, and goes on.

What made it, and how it is brought to another place, is in ``fixtures/before_house``.
"""

from __future__ import annotations

import json
import re
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.before_house import make

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

HEADRACE = Path(sys.executable).with_name("headrace")
NEAR = 1e-4  # of a probability, on another processor
# "code of headrace.tasks", "keras 3.15.1 → 3.16.0", "cryptography None → 50.0.2"
CHANGE = re.compile(r"\bcode of |(\d+\.\d+\S*|None) → \d+\.\d")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project with its home, at a place of its own."""
    return make.unpack(tmp_path)


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    """What the code of before has answered in this home."""
    found: dict[str, Any] = json.loads(make.EXPECTED.read_text())
    return found


def ask(project: Path, *words: str) -> dict[str, Any]:
    return make.ask(HEADRACE, project, *words)


def check(found: Any, wanted: Any, where: str = "") -> None:
    """All that was told is still told, and the same; more may be told."""
    if isinstance(wanted, dict):
        assert wanted.keys() <= found.keys(), where
        for name, value in wanted.items():
            check(found[name], value, f"{where}.{name}")
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), where
        for number, value in enumerate(wanted):
            check(found[number], value, f"{where}[{number}]")
    else:
        assert found == wanted, where


def check_record(project: Path, expected: dict[str, Any], model: str) -> None:
    """Nothing of the record was lost or written anew, and nothing is in it twice."""
    head = expected["verify"]["chain"]["head"]
    verified = ask(project, "verify", "--head", head)
    assert verified["status"] == "ok", verified
    assert verified["chain"]["rows"] > expected["verify"]["chain"]["rows"]
    weights = [v["weights_digest"] for v in ask(project, "compare", model)["versions"]]
    assert len(set(weights)) == len(weights), "the same training was registered twice"
    with closing(sqlite3.connect(project / make.HOME / "mlflow.db")) as database:
        missing = [
            place
            for (place,) in database.execute("SELECT artifact_uri FROM runs")
            if not place.startswith(project.as_uri())
        ]
    assert not missing
    assert not make.MADE_AT.exists(), "it wrote to the place where the home was made"


def stage(answer: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(s for s in answer["stages"] if s["name"] == name)
    return found


def names_code(answer: dict[str, Any], *stages: str) -> bool:
    """Whether a stage says that it ran for other code, of ours or of a library."""
    return any(CHANGE.search(stage(answer, name)["why"]) for name in stages)


def test_all_that_is_there_is_told(project: Path, expected: dict[str, Any]) -> None:
    told = {p["name"]: p for p in ask(project, "list")["pipelines"]}
    for wanted in expected["list"]:
        found = dict(told[wanted["name"]])
        if wanted["last_run"] is None:  # before, runs without a version did not count
            found["last_run"] = None
        check(found, wanted, "list")
        folder = project / "pipelines" / wanted["name"]
        assert told[wanted["name"]]["folder"] == str(folder)
    check(ask(project, "history", "tiny"), expected["history"], "history")
    check(ask(project, "compare", "tiny"), expected["compare"], "compare")
    check(ask(project, "verify"), expected["verify"], "verify")


def test_the_champion_answers_as_it_did(
    project: Path, expected: dict[str, Any]
) -> None:
    items, written = make.few_items(project), project / "scores.csv"
    answer = ask(project, "score", "tiny", str(items), str(written))
    wanted = expected["score"]
    found = make.scores(written)
    assert (answer["version"], answer["scored"]) == (1, make.SCORED)
    assert len(found) == make.SCORED
    for row, before in zip(found, wanted["items"], strict=True):
        for name, value in before.items():
            if name.startswith("probability"):
                assert float(row[name]) == pytest.approx(float(value), abs=NEAR), name
            else:
                assert row[name] == value, name


def test_the_same_run_is_not_registered_again(
    project: Path, expected: dict[str, Any]
) -> None:
    wanted = expected["run tiny"]
    answer = ask(project, "run", "tiny")
    assert answer["snapshot"]["digest"] == wanted["snapshot"]
    assert answer["metrics"]["test_accuracy"] >= 0.5
    trained = stage(answer, "train")
    if trained["state"] == "cached":
        assert answer["weights_digest"] == wanted["weights_digest"]
    else:
        assert trained["state"] == "completed"
        assert names_code(answer, "train"), trained
    if answer["weights_digest"] == wanted["weights_digest"]:
        check(answer, {key: wanted[key] for key in ("status", "version", "aliases")})
    else:  # computed on another processor
        assert (answer["status"], answer["version"]) in {
            ("registered", 3),
            ("promoted", 3),
        }
    versions = ask(project, "compare", "tiny")["versions"]
    for found, before in zip(versions, expected["compare"]["versions"], strict=False):
        for name in ("version", "weights_digest", "snapshot", "created", "run_id"):
            assert found[name] == before[name]
    check_record(project, expected, "tiny")


def test_the_killed_run_goes_on_or_says_why_not(
    project: Path, expected: dict[str, Any]
) -> None:
    wanted = expected["run interrupted"]
    process = make.start(HEADRACE, project, "run", "interrupted")
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, out + err
    answer = json.loads(out)
    assert (answer["status"], answer["version"]) == ("promoted", 1)
    assert answer["snapshot"]["digest"] == wanted["snapshot"]
    trained = stage(answer, "train")
    if trained["state"] == "resumed":
        (before,) = (s for s in wanted["stages"] if s["name"] == "train")
        assert trained["why"] == before["why"]
        assert answer["weights_digest"] == wanted["weights_digest"]
    else:
        assert trained["state"] == "completed"
        otherwise = "is skipped: it was computed under other conditions" in err
        # It never ended, so that of train's own code no state before is known.
        assert otherwise or names_code(answer, "ingest", "validate", "train"), err
    with closing(sqlite3.connect(project / make.HOME / "mlflow.db")) as database:
        states = [row[0] for row in database.execute("SELECT status FROM runs")]
    assert sorted(states) == ["FINISHED"] * 3 + ["KILLED"], "nothing says it runs"
    check_record(project, expected, "interrupted")


def test_its_deployment_is_known_and_can_be_removed(
    project: Path, expected: dict[str, Any]
) -> None:
    file = project / "pipelines" / "tiny" / "pipeline.toml"
    with make.up(HEADRACE, project):
        (known,) = ask(project, "deploy")["deployments"]
        assert known["name"] == "train/tiny"
        assert known["state"] in {"updated", "unchanged"}
        assert known["link"].endswith(f"/{expected['deployment']}")
        assert (known["cron"], known["paused"]) == ("0 3 * * *", True)
        (same,) = ask(project, "deploy")["deployments"]
        assert same == {**known, "state": "unchanged"}
        file.write_text(file.read_text().partition("\n[deploy]")[0] + "\n")
        (gone,) = ask(project, "deploy")["deployments"]
        assert (gone["name"], gone["state"]) == ("train/tiny", "removed")
        assert ask(project, "deploy")["deployments"] == []
    check_record(project, expected, "tiny")
