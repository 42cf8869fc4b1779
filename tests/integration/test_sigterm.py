"""A flow or its worker is told to end in the middle of a training."""

import json
import shutil

import httpx
import psutil
import pytest
from tests.waiting import until

from headrace.state.ledger.leases import Leases

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

DEPLOY = "\n[deploy]\npool = 'leaving'\n"
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@pytest.fixture
def place(project, tmp_path):
    """A project whose one pipeline is run by the pool ``leaving``."""
    folder = tmp_path / "own" / "pipelines" / "leaves"
    shutil.copytree(project / "pipelines" / "blobs", folder)
    with (folder / "pipeline.toml").open("a") as file:
        file.write(DEPLOY)
    return tmp_path / "own"


@pytest.fixture
def start_worker(services):
    """Starts a worker that nobody starts again."""
    started = []

    def make():
        process = services.start("worker", "--pool=leaving", "--json")
        started.append(process)
        assert json.loads(process.stdout.readline())["status"] == "up"
        return process

    yield make
    for process in started:
        process.terminate()
        process.communicate()


class Runs:
    """Runs of a deployment, by Prefect's API."""

    def __init__(self, services, seed):
        self.http = httpx.Client(
            base_url=f"{services.links['prefect']}/api", headers=services.authorization
        )
        self.deployment = self.http.get("/deployments/name/train/leaves").json()
        self.spec = self.deployment["parameters"]["pipeline"]
        self.spec["training"] |= {
            "seed": seed,
            "epochs": 10_000,
            "checkpoint_seconds": 0.5,
        }

    def start(self):
        answer = self.http.post(
            f"/deployments/{self.deployment['id']}/create_flow_run",
            json={"parameters": {"pipeline": self.spec}},
        )
        return str(answer.json()["id"])

    def state(self, run):
        found = self.http.get(f"/flow_runs/{run}").json()["state"]
        return found

    def said(self, run):
        wanted = {"logs": {"flow_run_id": {"any_": [run]}}, "limit": 200}
        lines = self.http.post("/logs/filter", json=wanted).json()
        return [line["message"] for line in lines]


def process_of(run):
    for process in psutil.process_iter():
        try:
            if process.environ().get("PREFECT__FLOW_RUN_ID") == run:
                return process
        except psutil.Error:
            continue
    raise AssertionError(f"no process of {run}")


@pytest.mark.parametrize("told", ["flow", "worker"])
def test_what_is_told_to_end_keeps_its_checkpoint_and_tells_the_truth(
    services, place, start_worker, told
):
    code, answer = services.headrace("deploy", HEADRACE_PROJECT=str(place))
    assert code == 0, answer
    worker = start_worker()
    runs = Runs(services, seed=11 if told == "flow" else 12)
    folder = services.home / "store" / "checkpoints"
    before = set(folder.glob("*/*"))
    run = runs.start()

    def begun():
        assert runs.state(run)["type"] not in ENDED, runs.state(run)
        return bool(set(folder.glob("*/*")) - before)

    until(begun, "no checkpoint was written")
    flow = process_of(run)
    target = flow if told == "flow" else psutil.Process(worker.pid)
    target.terminate()
    _, alive = psutil.wait_procs([flow, target], timeout=10)
    assert not alive, "it ends within ten seconds"
    if told == "worker":
        assert worker.wait(timeout=10) == 0
    assert set(folder.glob("*/*")) - before, "the checkpoint is kept"
    until(lambda: runs.state(run)["type"] in ENDED, "it still runs in Prefect", 20)
    assert runs.state(run)["type"] == "CRASHED", runs.state(run)
    leases = Leases(services.environment["HEADRACE_DATABASE_URL"])
    (lease,) = (row for row in leases.all()[0] if row.flow_run_id == run)
    assert lease.state in {"lost", "ended"}, "given back"

    if told == "worker":
        start_worker()
    again = runs.start()
    words = "train: goes on from epoch "
    until(lambda: any(words in line for line in runs.said(again)), "from the start")
