"""A bad night: all pipelines at once, while workers, servers and storage fail."""

import logging
import os
import random
import shutil
import threading
import time
from collections import Counter

import httpx
import psutil
import pytest
from tests.databases import new_databases
from tests.faults.proxy import every

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]

PIPELINES = int(os.environ.get("PIPELINES", "1"))  # `make test-faults` has four
SEED = int(os.environ.get("NIGHT", random.SystemRandom().randrange(10_000)))
KILLS = min(PIPELINES, 2)  # of each victim
SEEDS = (1, 2)  # of the trainings: one run each
VICTIMS = ("--pool cpu", "--pool gpu", "prefect_server")
LIMIT_SECONDS = 600
QUIET_SECONDS = 180  # until what was killed is known to be gone
DEPLOY = '\n[deploy]\ntrain_pool = "gpu"\n'
UNDER_WAY = ["SCHEDULED", "PENDING", "RUNNING", "CANCELLING", "PAUSED"]
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}

log = logging.getLogger(__name__)


@pytest.fixture
def services(project, tmp_path, storage, new_home, start_up, take_down, database):
    """All servers and workers on object storage that fails now and then."""
    root = tmp_path / "project"
    for name in pipelines():
        folder = root / "pipelines" / name
        shutil.copytree(project / "pipelines" / "blobs", folder)
        with (folder / "pipeline.toml").open("a") as file:
            file.write(DEPLOY)
    variables = {**storage.environment, **new_databases(database)}
    started = start_up(new_home(), root, **variables)
    storage.proxy.plan = every(11, "busy", "lost", "cut", "late")
    yield started
    take_down(started)


def pipelines():
    return [f"blobs_{number}" for number in range(PIPELINES)]


class Api:
    """Prefect's; waits while its server is being started again."""

    def __init__(self, services):
        self._client = httpx.Client(
            base_url=f"{services.links['prefect']}/api", headers=services.authorization
        )

    def __call__(self, path, body=None):
        limit = time.monotonic() + 120
        while True:
            try:
                method = "GET" if body is None else "POST"
                answer = self._client.request(method, path, json=body, timeout=30)
                answer.raise_for_status()
                return answer.json()
            except httpx.TransportError:
                assert time.monotonic() < limit, "the server did not come back"
                time.sleep(0.5)

    def start(self, pipeline, seed, key):
        """Start a run of a deployment, once for each key: its id."""
        deployment = self(f"/deployments/name/train/{pipeline}")
        spec = deployment["parameters"]["pipeline"]
        spec["training"].update(seed=seed, checkpoint_seconds=0.5, epochs=100)
        run = self(
            f"/deployments/{deployment['id']}/create_flow_run",
            {"parameters": {"pipeline": spec}, "idempotency_key": key},
        )
        return str(run["id"])

    def wait(self, runs, seconds):
        """Their states, once all have ended."""
        limit = time.monotonic() + seconds
        while True:
            states = {run: self(f"/flow_runs/{run}")["state"] for run in runs}
            if all(state["type"] in ENDED for state in states.values()):
                return states
            assert time.monotonic() < limit, states
            time.sleep(1)

    def under_way(self):
        """What says that it is, or waits for what will not come."""
        wanted = {"state": {"type": {"any_": UNDER_WAY}}}
        found = self("/flow_runs/filter", {"flow_runs": wanted})
        found += self("/task_runs/filter", {"task_runs": wanted})
        return [f"{run['name']}: {run['state_name']}" for run in found]


class Killer(threading.Thread):
    """Kills each victim some times, at moments and in an order that the seed gives."""

    def __init__(self, home):
        super().__init__(daemon=True)
        self.killed = Counter()
        self._home = str(home)

    def run(self):
        choice = random.Random(SEED)
        for victim in choice.sample(VICTIMS * KILLS, KILLS * len(VICTIMS)):
            time.sleep(choice.uniform(4, 16))
            while not self._kill(victim):  # it is being started again
                time.sleep(0.2)

    def _kill(self, part):
        before = self.killed[part]
        for process in psutil.process_iter():
            try:
                line = " ".join(process.cmdline())
                at_home = process.environ().get("HEADRACE_HOME") == self._home
                if at_home and part in line and "headrace_ops.guard" not in line:
                    process.kill()
                    self.killed[part] += 1
            except psutil.Error:
                continue
        return self.killed[part] > before


def mlflow(services, path, **body):
    url = f"{services.links['mlflow']}/api/2.0/mlflow/{path}"
    answer = httpx.request(
        "POST" if body else "GET",
        url,
        json=body or None,
        headers=services.authorization,
    )
    answer.raise_for_status()
    found = answer.json()
    return found


def running_in_mlflow(services):
    known = mlflow(services, "experiments/search", max_results=100)["experiments"]
    ids = [experiment["experiment_id"] for experiment in known]
    found = mlflow(services, "runs/search", experiment_ids=ids, max_results=1000)
    told = [run["info"] for run in found.get("runs", [])]
    return [run["run_id"] for run in told if run["status"] in {"RUNNING", "SCHEDULED"}]


def test_every_run_ends_as_it_should(services, storage):
    log.warning("NIGHT=%s", SEED)
    code, answer = services.headrace("deploy")
    assert code == 0, answer
    api = Api(services)
    runs = {
        api.start(name, seed, f"{name}-{seed}"): (name, seed)
        for seed in SEEDS
        for name in pipelines()
    }
    killer = Killer(services.home)
    killer.start()
    states = api.wait(list(runs), LIMIT_SECONDS)
    killer.join()
    assert all(killer.killed[victim] >= KILLS for victim in VICTIMS)

    told = {state["name"]: state["message"] for state in states.values()}
    assert told.keys() <= {"Promoted", "Registered", "Crashed"}, told
    again = [
        api.start(*runs[run], f"{run}-again")
        for run, state in states.items()
        if state["name"] == "Crashed"
    ]
    for state in api.wait(again, LIMIT_SECONDS).values():
        assert state["name"] in {"Promoted", "Registered"}, state

    limit = time.monotonic() + QUIET_SECONDS
    while left := [*api.under_way(), *running_in_mlflow(services)]:
        assert time.monotonic() < limit, left
        time.sleep(1)
    weights = set()
    for name in pipelines():
        weights.add(check_ledger(services, name))
    assert len(weights) == 1, "faults have changed what was learned"
    assert {fault for _, fault in storage.proxy.requests} >= {"busy", "lost", "cut"}


def check_ledger(services, name):
    """One version for each training, one order, one champion; the weights."""
    _, compared = services.headrace("compare", name)
    versions = {version["version"]: version for version in compared["versions"]}
    weights = tuple(sorted(version["weights_digest"] for version in versions.values()))
    assert len(set(weights)) == len(weights) == len(SEEDS), compared

    _, told = services.headrace("history", name)
    history = sorted(told["history"], key=lambda entry: entry["sequence"])
    champion = None
    for number, entry in enumerate(history, start=1):
        assert (entry["sequence"], entry["from"]) == (number, champion), history
        champion = entry["to"]
    assert champion in versions

    found = mlflow(services, f"registered-models/get?name={name}")["registered_model"]
    aliases = {alias["alias"]: int(alias["version"]) for alias in found["aliases"]}
    assert aliases["champion"] == champion
    numbers = mlflow(services, f"model-versions/search?filter=name='{name}'")
    assert {int(v["version"]) for v in numbers["model_versions"]} == set(versions)
    return weights
