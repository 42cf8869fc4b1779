"""A worker and its flow are killed outright: soon nothing says that it still runs."""

import json
import os
import shutil
import signal
import time
import urllib.request

import pytest

from headrace.state.ledger.leases import Leases

pytestmark = pytest.mark.integration

LIMIT_SECONDS = 180


def until(met, seconds=LIMIT_SECONDS):
    limit = time.monotonic() + seconds
    while not (found := met()):
        assert time.monotonic() < limit
        time.sleep(0.2)
    return found


def ask(services, url, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **services.authorization}
    request = urllib.request.Request(url, data, headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


@pytest.fixture
def place(project, tmp_path):
    """A project whose one pipeline is run by the pool ``doomed``."""
    folder = tmp_path / "own" / "pipelines" / "doomed"
    shutil.copytree(project / "pipelines" / "blobs", folder)
    with (folder / "pipeline.toml").open("a") as file:
        file.write("\n[deploy]\npool = 'doomed'\n")
    return tmp_path / "own"


def start_run(services, place):
    """A long run through a deployment of the pool ``doomed``: its id."""
    code, answer = services.headrace("deploy", HEADRACE_PROJECT=str(place))
    assert code == 0, answer
    api = services.environment["PREFECT_API_URL"]
    deployment = ask(services, f"{api}/deployments/name/train/doomed")
    spec = deployment["parameters"]["pipeline"]
    spec["training"] |= {"epochs": 10_000, "seed": 9}
    page = f"{api}/deployments/{deployment['id']}/create_flow_run"
    run = ask(services, page, {"parameters": {"pipeline": spec}})
    return str(run["id"])


def mlflow_statuses(services, flow_run_id):
    mlflow = f"{services.links['mlflow']}/api/2.0/mlflow"
    page = f"{mlflow}/experiments/search"
    known = ask(services, page, {"max_results": 100})["experiments"]
    body = {
        "experiment_ids": [experiment["experiment_id"] for experiment in known],
        "filter": f"tags.`mlflow.headrace.flow_run_id` = '{flow_run_id}'",
    }
    found = ask(services, f"{mlflow}/runs/search", body).get("runs", [])
    return [run["info"]["status"] for run in found]


@pytest.fixture
def worker(services):
    """A worker of a pool of its own, which nobody starts again."""
    process = services.start("worker", "--pool=doomed", "--json")
    yield process
    process.kill()
    process.communicate()


def test_a_killed_worker_leaves_nothing_that_says_it_runs(services, place, worker):
    assert json.loads(worker.stdout.readline())["status"] == "up"
    run = start_run(services, place)
    leases = Leases(services.environment["HEADRACE_DATABASE_URL"])

    def held():
        return next((row for row in leases.all()[0] if row.flow_run_id == run), None)

    state = f"{services.environment['PREFECT_API_URL']}/flow_runs/{run}"

    def begun():
        now = ask(services, state)["state"]
        assert now["type"] in {"SCHEDULED", "PENDING", "RUNNING"}, now
        return held()

    lease = until(begun)
    until(lambda: mlflow_statuses(services, run) == ["RUNNING"])
    worker.kill()
    os.kill(lease.pid, signal.SIGKILL)
    killed = time.monotonic()
    until(lambda: ask(services, state)["state_type"] == "CRASHED")
    until(lambda: mlflow_statuses(services, run) == ["KILLED"])
    assert time.monotonic() - killed < LIMIT_SECONDS
    assert f"process {lease.pid}" in ask(services, state)["state"]["message"]
    until(lambda: (last := held()) is not None and last.state == "ended")
