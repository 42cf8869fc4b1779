"""Two runs of one pipeline at once: one works, the other waits or is refused."""

import json

import pytest
from tests.homes import execute, values_of

from headrace.settings import Settings
from headrace.state.ledger.holding import hold

pytestmark = pytest.mark.integration

CHANGED = ("run", "blobs", "--json", "--set", "training.seed=2")
WAITS = "blobs is run by ada@lab (process "


VERSIONS = "SELECT version FROM ledger_chain WHERE kind = 'version'"
ENTRIES = "SELECT sequence FROM ledger_chain WHERE kind = 'decision'"


def test_of_two_equal_runs_at_once_one_trains(after_first, prefect_server):
    ledger = after_first.path / "headrace.db"
    both = [
        after_first.start(*CHANGED, PREFECT_API_URL=prefect_server) for _ in range(2)
    ]
    answers = [(*run.communicate(timeout=600), run.returncode) for run in both]
    assert [code for *_, code in answers] == [0, 0], answers
    first, second = sorted(answers, key=lambda answer: WAITS in answer[1])
    assert WAITS not in first[1]
    assert WAITS in second[1]
    states = {
        stage["name"]: stage["state"] for stage in json.loads(second[0])["stages"]
    }
    assert states["train"] == states["evaluate"] == "cached"
    assert values_of(ledger, VERSIONS) == [1, 2]
    assert values_of(ledger, ENTRIES) in ([1], [1, 2])
    runs = values_of(after_first.path / "mlflow.db", "SELECT status FROM runs")
    assert runs == ["FINISHED", "FINISHED"]


def test_a_run_is_refused_where_the_pipeline_says_so(after_first, prefect_server):
    settings = Settings(
        project=after_first.project, home=after_first.path, user="bob@lab"
    )
    refuse = ("--set", "deploy.when_busy=refuse")
    with hold(settings, "blobs", "another flow run"):
        answer = after_first.headrace(*CHANGED, *refuse)
        assert answer.exit_code == 3
        assert answer.json["status"] == "error"
        assert "blobs is busy: bob@lab" in answer.json["reason"]
        # An answer that needs no work needs no lease either.
        same = after_first.headrace("run", "blobs", "--json")
        assert same.json["status"] == "unchanged"


def test_a_run_that_has_lost_its_lease_registers_nothing(
    after_first, prefect_server, monkeypatch
):
    from headrace.stages import registration
    from headrace.state.ledger.leases import Leases

    ledger = after_first.path / "headrace.db"
    leases = Leases(f"sqlite:///{ledger}")
    register = registration.register

    def lose(*arguments):
        execute(ledger, "UPDATE leases SET started = 'an earlier boot-17'")
        with hold(
            Settings(project=after_first.project, home=after_first.path, user="bob"),
            "blobs",
            "another flow run",
        ):
            return register(*arguments)

    monkeypatch.setattr(registration, "register", lose)
    answer = after_first.headrace(*CHANGED)
    assert answer.exit_code == 3
    assert "Another run took over blobs by bob" in answer.json["reason"]
    assert answer.json["error"]["kind"] == "DependencyError"
    assert values_of(ledger, VERSIONS) == [1]
    database = after_first.path / "mlflow.db"
    assert values_of(database, "SELECT version FROM model_versions") == [1]
    assert {lease.state for lease in leases.all()[0]} == {"lost", "ended"}
