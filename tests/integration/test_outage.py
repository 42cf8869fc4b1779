"""PostgreSQL fails in the middle of a run, which ends well all the same."""

import json
import os
import signal
import threading
import time

import httpx
import psutil
import pytest
from tests.blobs import write_law
from tests.databases import postmaster, start

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

STOPPED_SECONDS = 30
GATES = "[{ name = 'accuracy', threshold = 0.5 }]"


class Running:
    """`headrace run`, whose words are read as they come."""

    def __init__(self, services, project, seed):
        settings = (f"training.seed={seed}", "training.epochs=400")
        words = [word for setting in settings for word in ("--set", setting)]
        self.process = services.start(
            "run", "blobs", "--json", *words, HEADRACE_PROJECT=str(project)
        )
        self.lines = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        self.lines.extend(iter(self.process.stderr.readline, ""))

    def wait_for(self, text, seconds=120):
        limit = time.monotonic() + seconds
        while not any(text in line for line in [*self.lines]):
            assert self.process.poll() is None, "".join(self.lines)
            assert time.monotonic() < limit, "".join(self.lines)
            time.sleep(0.02)

    def answer(self):
        out = self.process.stdout.read()
        code = self.process.wait(timeout=60)
        self._reader.join(10)
        assert code == 0, out + "".join(self.lines)
        found = json.loads(out)
        return found


@pytest.fixture
def start_run(services, tmp_path):
    started = []
    write_law(services.project, tmp_path / "pipelines" / "blobs", gates=GATES)

    def make(seed):
        started.append(Running(services, tmp_path, seed))
        return started[-1]

    yield make
    for running in started:
        running.process.kill()
    wait_until_back(services)


def wait_until_back(services):
    """The database answers again: a command that begins meanwhile is told to retry."""
    limit = time.monotonic() + 60
    while services.headrace("history", "blobs")[0] not in {0, 2}:
        assert time.monotonic() < limit
        time.sleep(0.5)


def check(services, answer):
    """The run is in Prefect, MLflow and the ledger, once and as it ended."""
    assert answer["status"] == "promoted", answer
    with httpx.Client(
        base_url=f"{services.links['prefect']}/api", headers=services.authorization
    ) as prefect:
        run = prefect.get(f"/flow_runs/{answer['flow_run_id']}").json()
    assert run["state"]["name"] == "Promoted"
    _, told = services.headrace("history", "blobs")
    champion = None
    for number, entry in enumerate(told["history"], start=1):
        assert (entry["sequence"], entry["from"]) == (number, champion), told
        champion = entry["to"]
    assert champion == answer["version"]
    _, compared = services.headrace("compare", "blobs")
    trainings = [version["weights_digest"] for version in compared["versions"]]
    assert len(set(trainings)) == len(trainings)
    with httpx.Client(
        base_url=f"{services.links['mlflow']}/api/2.0/mlflow",
        headers=services.authorization,
    ) as mlflow:
        model = mlflow.get("/registered-models/get?name=blobs").json()
        aliases = model["registered_model"]["aliases"]
        assert {a["alias"]: int(a["version"]) for a in aliases}["champion"] == champion
        run = mlflow.get(f"/runs/get?run_id={answer['run_id']}").json()["run"]
    assert run["info"]["status"] == "FINISHED"


@pytest.mark.parametrize(
    ("moment", "seed"),
    [("epoch 20/", 21), ("register: ", 22)],
    ids=["train", "register"],
)
def test_a_run_outlives_a_kill_of_the_database(
    services, database, start_run, moment, seed
):
    run = start_run(seed)
    run.wait_for(moment)
    killed = postmaster(database)
    killed.kill()
    psutil.wait_procs([killed], timeout=30)
    start(database)
    check(services, run.answer())


def test_a_run_outlives_a_database_that_does_not_answer(services, database, start_run):
    run = start_run(23)
    run.wait_for("epoch 20/")
    first = postmaster(database)
    stopped = [first, *first.children(recursive=True)]
    for process in stopped:
        os.kill(process.pid, signal.SIGSTOP)
    try:
        time.sleep(STOPPED_SECONDS)
        assert run.process.poll() is None
    finally:
        for process in stopped:
            os.kill(process.pid, signal.SIGCONT)
    check(services, run.answer())
