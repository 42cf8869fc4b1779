"""A run that waits for a person: in a terminal, and suspended in Prefect."""

import os
import signal
import subprocess
import sys

import pytest
from tests.waiting import until

from headrace.state.ledger import Approval, Ledger
from headrace.state.ledger.leases import Leases

pytestmark = pytest.mark.integration

ARGUMENTS = ("run", "blobs", "--set", "training.seed=2", "--json")
GATES = "[{ name = 'accuracy', threshold = 0.5 }]"


@pytest.fixture
def wanting(after_first, tmp_path):
    """A home after its first run, whose pipeline file now wants an approval."""
    mode = '{ mode = "approval" }'
    return after_first.with_law(tmp_path / "project", gates=GATES, promotion=mode)


def ledger_of(home):
    return Ledger(f"sqlite:///{home.path}/headrace.db")


def state_of_lease(home):
    lease = Leases(f"sqlite:///{home.path}/headrace.db").current("blobs")
    return lease.state if lease else ""


def asked(home):
    def waiting():
        found = ledger_of(home).waiting("blobs")
        return found[0] if found else None

    request = until(waiting, "nobody was asked")
    assert isinstance(request, Approval)
    return request


def ended(process):
    out, err = process.communicate(timeout=600)
    return process.returncode, out, err


def test_a_run_in_a_terminal_waits_for_an_approval_in_another(wanting):
    process = wanting.start(*ARGUMENTS)
    try:
        request = asked(wanting)
        assert (request.version, request.who) == (2, "ada@lab")
        until(lambda: state_of_lease(wanting) == "ended", "others must wait")
        listed = wanting.headrace("list", "--json").json["pipelines"]
        assert [p["waiting"] for p in listed if p["name"] == "blobs"] == [
            [{"version": 2, "expires": request.expires}]
        ]
        said = wanting.headrace("approve", "blobs", "--reason", "good", "--json")
        assert (said.json["status"], said.json["version"]) == ("promoted", 2)
        code, out, err = ended(process)
    finally:
        process.kill()
    assert code == 0, err
    assert '"status": "promoted"' in out
    assert "approved by ada@lab (good)" in out
    assert "headrace approve blobs --reason TEXT" in err
    history = wanting.headrace("history", "blobs", "--json").json
    assert [e["sequence"] for e in history["history"]] == [1, 2]
    assert history["history"][1]["who"] == "ada@lab"
    assert [a["action"] for a in history["approvals"]] == ["request", "approve"]


def test_ctrl_c_leaves_the_request_open_and_the_next_run_finds_it(wanting):
    process = wanting.start(*ARGUMENTS)
    try:
        request = asked(wanting)
        assert process.stderr is not None
        assert any("waits for approval" in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        code, _, err = ended(process)
    finally:
        process.kill()
    assert code == 130, err
    assert ledger_of(wanting).waiting("blobs") == [request]
    process = wanting.start(*ARGUMENTS)
    try:
        assert process.stderr is not None
        said = []
        for line in iter(process.stderr.readline, ""):
            said.append(line)
            if "version 2 waits for approval" in line:
                break
        else:
            pytest.fail("".join(said))
        answer = wanting.headrace(
            "approve", "blobs", "--reject", "--reason", "no", "--json"
        )
        assert answer.json["status"] == "rejected"
        code, out, err = ended(process)
    finally:
        process.kill()
    assert code == 1, err
    assert '"reason": "version 2 was rejected by ada@lab (no)"' in out
    actions = [w.action for w in ledger_of(wanting).approvals("blobs")]
    assert actions == ["request", "reject"]
    again = wanting.headrace(*ARGUMENTS)
    assert (again.exit_code, again.json["status"]) == (1, "refused")
    assert again.json["flow_run_id"] is None


class Deployed:
    """A run of a deployment, whose processes are started here instead of a worker."""

    def __init__(self, home, client, *overrides):
        from headrace.pipeline import load_spec

        self.home, self.client = home, client
        folder = home.project / "pipelines" / "blobs"
        spec = load_spec(folder, overrides)
        flow = client.create_flow_from_name("train")
        ledger = Leases(f"sqlite:///{home.path}/headrace.db")
        deployment = client.create_deployment(
            flow_id=flow,
            name="blobs",
            entrypoint="headrace_flows.train.train",
            tags=[f"headrace-{ledger.identity()}"],  # as `headrace deploy` does
        )
        self.id = client.create_flow_run_from_deployment(
            deployment, parameters={"pipeline": spec.model_dump(mode="json")}
        ).id

    def go(self):
        """One process, as a worker starts it; the name of the state it ends in."""
        inherited = {**os.environ, **self.home.environment}
        subprocess.run(
            [sys.executable, "-m", "prefect.engine"],
            env={**inherited, "PREFECT__FLOW_RUN_ID": str(self.id)},
            cwd=self.home.project,
            check=False,
            timeout=600,
        )
        self.message = self.state.message
        return str(self.state.name)

    @property
    def state(self):
        return self.client.read_flow_run(self.id).state

    def tasks(self):
        from prefect.client.schemas.filters import FlowRunFilter

        only = {"id": {"any_": [str(self.id)]}}
        found = self.client.read_task_runs(
            flow_run_filter=FlowRunFilter.model_validate(only)
        )
        found.sort(key=lambda run: run.start_time)
        return [(run.task_key.split("-")[0], run.state_name) for run in found]


def test_a_suspended_run_is_approved_by_command(wanting, client):
    run = Deployed(wanting, client, "training.seed=2")
    assert run.go() == "Suspended"
    request = asked(wanting)
    said = wanting.headrace("approve", "blobs", "--reason", "good", "--json").json
    assert (said["status"], said["resumed"]) == ("promoted", [str(run.id)])
    assert run.state.is_scheduled()
    assert ledger_of(wanting).champion("blobs").version.version == 2
    assert run.go() == "Promoted", run.message
    assert "approved by ada@lab (good)" in run.state.message
    assert run.tasks()[-6:-2] == [
        (stage, "Cached") for stage in ("ingest", "validate", "train", "evaluate")
    ]
    words = ledger_of(wanting).approvals("blobs")
    assert words[0] == request
    assert [w.action for w in words] == ["request", "approve"]


def test_a_suspended_run_that_is_resumed_without_a_decision_waits_again(
    wanting, client
):
    run = Deployed(wanting, client, "training.seed=2")
    for _ in range(2):
        assert run.go() == "Suspended"
        assert len(ledger_of(wanting).approvals("blobs")) == 1
        client.resume_flow_run(run.id)
    assert run.go() == "Suspended"
    no = ("--reject", "--reason", "confuses 3 and 5", "--json")
    said = wanting.headrace("approve", "blobs", *no).json
    assert (said["status"], said["resumed"]) == ("rejected", [str(run.id)])
    assert run.go() == "Refused", run.message
    assert "confuses 3 and 5" in run.state.message


def test_the_page_has_the_report_before_anyone_is_asked(wanting, client):
    from prefect.client.schemas.filters import ArtifactFilter

    run = Deployed(wanting, client, "training.seed=2")
    assert run.go() == "Suspended"
    only = {"flow_run_id": {"any_": [str(run.id)]}}
    found = {
        artifact.key: artifact
        for artifact in client.read_artifacts(
            artifact_filter=ArtifactFilter.model_validate(only)
        )
    }
    (report,) = (artifact.data for artifact in found.values())
    assert "| accuracy | passed |" in report
    assert "data:image" not in report
    assert "The run in MLflow has pictures" in report
    assert "- spec training.seed: 1 → 2" in report
    assert client.read_flow_run(run.id).name == "blobs seed=2, version 2"
    assert "version 2" in report
    assert f"/runs/flow-run/{run.id}>" in report
