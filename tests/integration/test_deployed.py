"""Deployed pipelines on real workers: what they run, where, and how often."""

import os
import shutil
import signal
import time

import httpx
import psutil
import pytest

pytestmark = pytest.mark.integration

MODEL = '''
"""A builder of the pipeline's own."""

from headrace.models import mlp

YIELDS = mlp.YIELDS


def build(data, hidden=(12,)):
    return mlp.build(data, hidden=list(hidden))
'''
DEPLOY = '\nmodel.builder = "model:build"\n[deploy]\n'


@pytest.fixture
def place(project, tmp_path):
    """A project with the pipeline ``spots``, which no worker has a folder of."""
    folder = tmp_path / "elsewhere" / "pipelines" / "spots"
    shutil.copytree(project / "pipelines" / "blobs", folder)
    (folder / "model.py").write_text(MODEL)
    return tmp_path / "elsewhere"


def write(place, *lines):
    path = place / "pipelines" / "spots" / "pipeline.toml"
    text = path.read_text().partition("\nmodel.builder")[0]
    path.write_text(text + DEPLOY + "\n".join(lines) + "\n")


@pytest.fixture
def api(services):
    with httpx.Client(
        base_url=f"{services.links['prefect']}/api",
        headers=services.authorization,
        timeout=30,
    ) as made:
        yield made


@pytest.fixture
def deploy(services, place, api):
    """Deploys ``spots`` with lines of its table; gives ``train/spots``."""

    def made(*lines):
        write(place, *lines)
        code, answer = services.headrace("deploy", HEADRACE_PROJECT=str(place))
        assert code == 0, answer
        found = api.get("/deployments/name/train/spots").json()
        return found

    yield made
    path = place / "pipelines" / "spots" / "pipeline.toml"
    path.write_text(path.read_text().partition("\nmodel.builder")[0])
    services.headrace("deploy", HEADRACE_PROJECT=str(place))
    left = api.post("/deployments/filter", json={}).json()
    assert {one["name"] for one in left} <= {"nightly"}


def start(api, deployment, **training):
    spec = deployment["parameters"]["pipeline"]
    spec["training"].update(training)
    answer = api.post(
        f"/deployments/{deployment['id']}/create_flow_run",
        json={"parameters": {"pipeline": spec}},
    )
    answer.raise_for_status()
    return str(answer.json()["id"])


def ended(api, flow_run, seconds=200):
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        state = api.get(f"/flow_runs/{flow_run}").json()["state"]
        if state["type"] in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}:
            return state
        time.sleep(0.5)
    pytest.fail(f"still {state['name']}")


def runs_of(api, deployment):
    name = f"/deployments/name/{deployment}"
    wanted = {"deployments": {"id": {"any_": [api.get(name).json()["id"]]}}}
    found = api.post("/flow_runs/filter", json=wanted).json()
    return found


def log_of(api, flow_run, last):
    """What Prefect's page of a run shows of ours; it comes a moment after the end."""
    wanted = {"logs": {"flow_run_id": {"any_": [flow_run]}}, "limit": 200}
    limit = time.monotonic() + 20
    while True:
        lines = api.post("/logs/filter", json=wanted).json()
        found = [line["message"] for line in lines if line["name"] == "headrace"]
        if any(line.startswith(last) for line in found):
            return found
        assert time.monotonic() < limit, found
        time.sleep(0.5)


def weights(services, model="spots"):
    _, answer = services.headrace("compare", model)
    return [version["weights_digest"] for version in answer["versions"]]


def test_a_run_on_two_pools_gives_the_model_that_a_run_here_gives(
    services, deploy, api, place, start_command, tmp_path
):
    deployment = deploy('train_pool = "gpu"')
    flow_run = start(api, deployment)
    state = ended(api, flow_run)
    assert state["name"] == "Promoted", state
    (training,) = runs_of(api, "fit/spots")
    assert training["state"]["name"] == "Completed"
    told = log_of(api, flow_run, last="promote: always; the ledger decides")
    assert "train: first run; on the pool gpu" in told
    there = log_of(api, training["id"], last="epoch 3/3 ")
    assert [line[:10] for line in there if line.startswith("epoch ")] == [
        "epoch 1/3 ",
        "epoch 2/3 ",
        "epoch 3/3 ",
    ]
    embedded = start_command(tmp_path / "home", place, "run", "spots", "--json")
    out, err = embedded.communicate(timeout=240)
    assert embedded.returncode == 0, err
    assert [out.partition('"weights_digest": "')[2][:64]] == weights(services)


def fit_process(flow_run):
    for process in psutil.process_iter():
        try:
            if process.environ().get("PREFECT__FLOW_RUN_ID") == flow_run:
                return process
        except psutil.Error:
            continue
    return None


def test_a_training_that_is_killed_on_its_pool_goes_on_there(deploy, api, services):
    deployment = deploy('train_pool = "gpu"')
    before = len(runs_of(api, "fit/spots"))
    flow_run = start(api, deployment, epochs=3000, seed=3, checkpoint_seconds=0.5)
    checkpoints = services.home / "store" / "checkpoints"
    limit = time.monotonic() + 150
    while not any(checkpoints.glob("*/*")):
        assert time.monotonic() < limit
        time.sleep(0.2)
    running = [
        run for run in runs_of(api, "fit/spots") if run["state"]["name"] == "Running"
    ]
    process = fit_process(running[0]["id"])
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    state = ended(api, flow_run)
    assert state["type"] == "COMPLETED", state
    attempts = runs_of(api, "fit/spots")
    assert len(attempts) == before + 2
    told = {run["state"]["name"]: run["state"]["message"] for run in attempts}
    assert "SIGKILL" in told["Crashed"]
    assert told["Completed"].startswith("Went on from epoch ")
