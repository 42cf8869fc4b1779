"""A worker: what it runs, what it hands on, and how it ends."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.integration

Services = Any

FLOW = """
import json, os, pathlib, time
from prefect import flow

@flow
def waits():
    place = pathlib.Path({place!r})
    place.with_suffix(".new").write_text(json.dumps(dict(os.environ)))
    place.with_suffix(".new").rename(place)
    time.sleep(120)
"""


def until(met: Callable[[], bool], seconds: float = 90) -> None:
    limit = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < limit
        time.sleep(0.2)


class Api:
    """Prefect's, for what has no command of ours."""

    def __init__(self, services: Services) -> None:
        self.url = services.environment["PREFECT_API_URL"]

    def __call__(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def start(self, pool: str, file: Path) -> str:
        """Deploy a flow of a file to a pool, and run it: the run's id."""
        flow = self("/flows/", {"name": "waits"})["id"]
        deployment = self(
            "/deployments/",
            {
                "name": pool,
                "flow_id": flow,
                "work_pool_name": pool,
                "entrypoint": f"{file.name}:waits",
                "path": str(file.parent),  # it is copied to where the flow runs
            },
        )["id"]
        run = self(f"/deployments/{deployment}/create_flow_run", {})
        return str(run["id"])

    def state(self, run: str) -> str:
        return str(self(f"/flow_runs/{run}")["state"]["type"])


@pytest.fixture
def worker(services: Services) -> Iterator[Any]:
    """A worker of a pool of its own, with secrets in its environment."""
    process = services.start(
        "worker",
        "--pool=trial",
        "--json",
        MLFLOW_FLASK_SERVER_SECRET_KEY="canary",
        GITHUB_TOKEN="canary",
        HUB_TOKEN="wanted",
        HEADRACE_WORKER_ENVIRONMENT="HUB_*",
    )
    yield process
    process.kill()
    process.communicate()


def test_a_flow_is_given_places_and_no_secret_and_ends_with_its_worker(
    services: Services, worker: Any, tmp_path: Path
) -> None:
    told = json.loads(worker.stdout.readline())
    assert (told["status"], told["pool"]) == ("up", "trial")
    api = Api(services)
    assert api("/work_pools/trial")["type"] == "process"
    place = tmp_path / "environment.json"
    file = tmp_path / "code" / "waits.py"
    file.parent.mkdir()
    file.write_text(FLOW.format(place=str(place)))
    run = api.start("trial", file)
    until(place.exists)
    given = json.loads(place.read_text())
    assert "canary" not in given.values()
    assert given["HUB_TOKEN"] == "wanted"
    assert given["HEADRACE_HOME"] == str(services.home)
    assert given["HEADRACE_PROJECT"] == str(services.project)
    assert given["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "30"
    assert api.state(run) == "RUNNING"

    worker.send_signal(signal.SIGTERM)
    out, err = worker.communicate(timeout=30)
    assert (worker.returncode, out) == (0, ""), err
    assert api.state(run) == "CRASHED", "told, and not left as running"


def test_a_pool_that_is_not_of_processes_is_left_to_prefects_worker(
    services: Services,
) -> None:
    Api(services)("/work_pools/", {"name": "cluster", "type": "kubernetes"})
    code, answer = services.headrace("worker", "--pool", "cluster")
    assert (code, answer["error"]["kind"]) == (2, "UsageError")
    assert "prefect worker start --pool cluster" in answer["error"]["action"]
