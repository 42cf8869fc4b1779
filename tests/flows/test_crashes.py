"""Killed at the worst moments: the next command ends as it should, and all is whole."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.homes import values_of

from headrace_ops.environment import authorization, prefect_login

pytestmark = pytest.mark.integration

CHANGED = ("run", "blobs", "--json", "--set", "training.seed=2")
GATES = "[{ name = 'accuracy', threshold = 0.5 }]"  # no champion to beat

POINTS = [
    pytest.param(
        "headrace.state.ledger.leases:Leases.acquire", "after", id="lease taken"
    ),
    pytest.param(
        "headrace.state.tracking.models:Tracking.create_version",
        "after",
        id="MLflow has the version, the ledger has not",
    ),
    pytest.param(
        "headrace.state.ledger:Ledger.add_evidence",
        "before",
        id="the ledger has the version, no evidence",
    ),
    pytest.param(
        "headrace.stages.promotion:project_aliases",
        "before",
        id="promoted in the ledger, not in MLflow",
    ),
]


VERSIONS = "SELECT version FROM ledger_chain WHERE kind = 'version'"
ENTRIES = "SELECT sequence, version FROM ledger_chain WHERE kind = 'decision'"
JUDGED = "SELECT DISTINCT version FROM ledger_chain WHERE kind = 'evidence'"


def states(server, flow_run_ids):
    """Of flow runs, as Prefect has them."""
    import requests

    found = requests.post(
        f"{server}/flow_runs/filter",
        json={"flow_runs": {"id": {"any_": flow_run_ids}}},
        headers=authorization(prefect_login()),
        timeout=600,
    ).json()
    return {run["id"]: run["state_type"] for run in found}


def killed_run(home, server, place, when):
    killed_by(CHANGED, home, server, place, when)


def killed_by(command, home, server, place, when):
    """Run a command that is killed at a point; see `killed`."""
    script = Path(__file__).with_name("killed.py")
    process = subprocess.run(
        [sys.executable, str(script), place, when, *command],
        env={**os.environ, **home.environment, "PREFECT_API_URL": server},
        cwd=home.project,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr


@pytest.mark.parametrize(("place", "when"), POINTS)
def test_a_killed_run_is_made_good_by_the_next_command(
    after_first, prefect_server, tmp_path, place, when
):
    after_first = after_first.with_law(tmp_path / "project", gates=GATES)
    ledger, mlflow = after_first.path / "headrace.db", after_first.path / "mlflow.db"
    killed_run(after_first, prefect_server, place, when)
    left = values_of(ledger, "SELECT flow_run_id FROM leases WHERE state = 'held'")
    assert len(left) == 1
    assert states(prefect_server, left) == {left[0]: "RUNNING"}
    answer = after_first.headrace(*CHANGED)
    assert answer.exit_code == 0, answer.err
    assert answer.json["status"] == "promoted"
    assert answer.json["aliases"] == ["champion"]
    # One version more, and the ledger is whole.
    assert values_of(ledger, VERSIONS) == [1, 2]
    assert values_of(ledger, ENTRIES) == [(1, 1), (2, 2)]
    assert values_of(ledger, JUDGED) == [1, 2]
    assert values_of(mlflow, "SELECT version FROM model_versions") == [1, 2]
    assert values_of(mlflow, "SELECT alias, version FROM registered_model_aliases") == [
        ("champion", 2)
    ]
    # Nothing says that it runs.
    assert states(prefect_server, left) == {left[0]: "CRASHED"}
    assert "RUNNING" not in values_of(mlflow, "SELECT status FROM runs")
    assert set(values_of(ledger, "SELECT state FROM leases")) == {"ended"}
