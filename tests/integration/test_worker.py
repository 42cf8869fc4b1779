"""A worker: what it runs, what it hands on, and how it ends."""

import contextlib
import json
import shutil
import signal
import urllib.request

import psutil
import pytest
from tests.waiting import until

pytestmark = pytest.mark.integration


DEPLOY = "\n[deploy]\npool = 'trial'\n"


class Api:
    """Prefect's, for what has no command of ours."""

    def __init__(self, services):
        self.url = services.environment["PREFECT_API_URL"]
        self._headers = {"Content-Type": "application/json", **services.authorization}

    def __call__(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, self._headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def start(self, deployment):
        """Run a deployment for a long time: the run's id."""
        found = self(f"/deployments/name/{deployment}")
        spec = found["parameters"]["pipeline"]
        spec["training"] |= {"epochs": 10_000, "seed": 4}
        body = {"parameters": {"pipeline": spec}}
        run = self(f"/deployments/{found['id']}/create_flow_run", body)
        return str(run["id"])

    def state(self, run):
        return str(self(f"/flow_runs/{run}")["state"]["type"])


@pytest.fixture
def place(project, tmp_path):
    """A project whose one pipeline is run by the pool ``trial``."""
    folder = tmp_path / "own" / "pipelines" / "tried"
    shutil.copytree(project / "pipelines" / "blobs", folder)
    with (folder / "pipeline.toml").open("a") as file:
        file.write(DEPLOY)
    return tmp_path / "own"


def environment_of(run):
    """That of the process which executes a flow run; empty before there is one."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            environment = process.environ()
            if environment.get("PREFECT__FLOW_RUN_ID") == run:
                return environment
    return {}


@pytest.fixture
def worker(services):
    """A worker of a pool of its own, with a token in its environment."""
    process = services.start("worker", "--pool=trial", "--json", HUB_TOKEN="wanted")
    yield process
    process.kill()
    process.communicate()


def test_a_flow_has_its_workers_variables_and_ends_with_it(services, worker, place):
    told = json.loads(worker.stdout.readline())
    assert (told["status"], told["pool"]) == ("up", "trial")
    api = Api(services)
    assert api("/work_pools/trial")["type"] == "process"
    code, answer = services.headrace("deploy", HEADRACE_PROJECT=str(place))
    assert code == 0, answer
    run = api.start("train/tried")
    until(lambda: api.state(run) == "RUNNING")
    given = environment_of(run)
    assert given["HUB_TOKEN"] == "wanted"
    assert given["HEADRACE_HOME"] == str(services.home)
    assert given["HEADRACE_PROJECT"] == str(services.project)
    assert given["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "30"

    worker.send_signal(signal.SIGTERM)
    out, err = worker.communicate(timeout=30)
    assert (worker.returncode, out) == (0, ""), err
    assert api.state(run) == "CRASHED", "told, and not left as running"


def test_a_pool_that_is_not_of_processes_is_left_to_prefects_worker(services):
    Api(services)("/work_pools/", {"name": "cluster", "type": "kubernetes"})
    code, answer = services.headrace("worker", "--pool", "cluster")
    assert (code, answer["error"]["kind"]) == (2, "UsageError")
    assert "prefect worker start --pool cluster" in answer["error"]["action"]
