"""``headrace serve`` as a deployed flow, which a worker keeps running."""

import shutil
import signal
import socket
import time

import httpx
import psutil
import pytest
from tests.waiting import until

from headrace_flows.recovery import SWEEP_SECONDS

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Deployed:
    """A project whose pipeline ``spots`` is served by the pool ``serving``."""

    def __init__(self, services, project):
        self.services, self.project = services, project
        self.http = httpx.Client(
            base_url=f"{services.links['prefect']}/api",
            headers=services.authorization,
            timeout=30,
        )
        toml = project / "pipelines" / "spots" / "pipeline.toml"
        self._text, self._toml = toml.read_text(), toml

    def deploy(self, port, more=""):
        """Deploy the pipeline with the flow, or without it; the states by name."""
        table = "\n[deploy]\n"
        if port is not None:
            table += "[deploy.flows.serve]\npool = 'serving'\n"
            table += f"parameters = {{ port = {port}{more} }}\n"
        self._toml.write_text(self._text + table)
        code, answer = self.services.headrace(
            "deploy", HEADRACE_PROJECT=str(self.project)
        )
        assert code == 0, answer
        return {row["name"]: row["state"] for row in answer["deployments"]}

    def runs(self):
        """The runs of the flow, oldest first; also after its deployment was removed."""
        wanted = {"flows": {"name": {"any_": ["serve"]}}}
        found = self.http.post("/flow_runs/filter", json=wanted).json()
        return sorted(found, key=lambda run: run["created"])

    def states(self):
        return [run["state"]["type"] for run in self.runs()]

    def said(self, run):
        wanted = {"logs": {"flow_run_id": {"any_": [run]}}, "limit": 200}
        lines = self.http.post("/logs/filter", json=wanted).json()
        return [line["message"] for line in lines]


def answers(port):
    try:
        url = f"http://127.0.0.1:{port}/v2/health/ready"
        return httpx.get(url, timeout=2).is_success
    except httpx.HTTPError:
        return False


def server_of(port):
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
        except psutil.Error:
            continue
        if f"--port={port}" in line and "headrace_ops.guard" not in line:
            return process
    raise AssertionError(f"no server on port {port}")


@pytest.fixture
def deployed(services, project, tmp_path):
    folder = tmp_path / "own" / "pipelines" / "spots"
    shutil.copytree(project / "pipelines" / "blobs", folder)
    place = str(tmp_path / "own")
    code, answer = services.headrace(
        "run", "spots", "--set", "gates=[]", HEADRACE_PROJECT=place
    )
    assert code == 0, answer
    code, answer = services.headrace(
        "promote", "spots", "--force", "--reason", "a test", HEADRACE_PROJECT=place
    )
    assert code == 0, answer
    worker = services.start("worker", "--pool=serving", "--limit=3", "--json")
    made = Deployed(services, tmp_path / "own")
    try:
        yield made
    finally:
        made.deploy(None)
        worker.terminate()
        worker.communicate()


def test_a_deployed_server_is_started_once_and_again_after_a_crash(deployed):
    port = free_port()
    assert deployed.deploy(port)["serve/spots"] == "created"
    until(lambda: answers(port), "it does not serve")
    assert deployed.deploy(port)["serve/spots"] == "unchanged"
    assert deployed.states() == ["RUNNING"]
    (first,) = deployed.runs()
    until(
        lambda: any(f":{port}" in line for line in deployed.said(first["id"])),
        "what the server says is not in the run's log",
    )

    # The server, its flow and all, as when a machine is switched off.
    server = server_of(port)
    flow = psutil.Process(server.parent().ppid())
    flow.send_signal(signal.SIGKILL)
    until(lambda: len(deployed.runs()) == 2, "it is not started again")
    assert deployed.states()[0] == "CRASHED"
    until(lambda: answers(port), "it does not serve again")
    assert not server.is_running(), "the former server outlived its flow"

    # Another port: the former server ends.
    other = free_port()
    assert deployed.deploy(other)["serve/spots"] == "updated"
    until(lambda: answers(other), "it does not serve on the other port")
    assert not answers(port)
    assert deployed.states() == ["CRASHED", "CANCELLED", "RUNNING"]

    # A person who cancels it ends it for good.
    last = deployed.runs()[-1]["id"]
    state = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
    deployed.http.post(f"/flow_runs/{last}/set_state", json=state).raise_for_status()
    until(lambda: deployed.states()[-1] == "CANCELLED", "it is not cancelled")
    until(lambda: not answers(other), "it still serves")
    time.sleep(SWEEP_SECONDS + 5)
    assert len(deployed.runs()) == 3
    deployed.deploy(other)
    until(lambda: answers(other), "deploying does not start it")
    assert deployed.deploy(None)["serve/spots"] == "removed"
    until(lambda: not answers(other), "it still serves without its deployment")


def test_a_server_that_cannot_start_says_why_and_is_not_tried_again(deployed):
    before = len(deployed.runs())
    deployed.deploy(free_port(), ", models = ['nothing']")
    until(lambda: "FAILED" in deployed.states()[before:], "it does not fail")
    time.sleep(SWEEP_SECONDS + 5)
    assert deployed.states()[before:] == ["FAILED"]
    assert "nothing" in deployed.runs()[-1]["state"]["message"]
