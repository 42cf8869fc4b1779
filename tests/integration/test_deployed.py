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


def test_what_the_training_refuses_there_is_what_it_would_say_here(deploy, api):
    deployment = deploy('train_pool = "gpu"')
    deployment["parameters"]["pipeline"]["model"]["arguments"] = {"hiden": [3]}
    state = ended(api, start(api, deployment))
    assert state["name"] == "Failed"
    assert "SpecError: model.arguments.hiden" in state["message"]


def test_a_thousand_events_start_one_run(deploy, api):
    deployment = deploy('pool = "idle"', "on_drift = true")
    event = {
        "event": "headrace.drift",
        "resource": {"prefect.resource.id": "headrace.pipeline.spots"},
        "occurred": "",
        "payload": {},
    }

    def emit(number):
        from datetime import UTC, datetime
        from uuid import uuid4

        now = datetime.now(UTC).isoformat()
        events = [{**event, "id": str(uuid4()), "occurred": now} for _ in range(number)]
        api.post("/events", json=events).raise_for_status()

    time.sleep(3)  # the automation is loaded beside the request that made it
    for _ in range(10):
        emit(100)
    limit = time.monotonic() + 30
    while not runs_of(api, "train/spots") and time.monotonic() < limit:
        time.sleep(0.5)
    time.sleep(5)
    assert len(runs_of(api, "train/spots")) == 1
    write_again = deploy('pool = "idle"', "on_drift = true", 'cron = "0 3 * * *"')
    assert write_again["id"] == deployment["id"]
    emit(100)
    time.sleep(5)
    started = [run for run in runs_of(api, "train/spots") if not run["auto_scheduled"]]
    assert len(started) == 1


def test_a_backfill_runs_on_the_workers_and_does_nothing_twice(
    services, deploy, api, place, write_data, tmp_path
):
    deploy("concurrency = 2")
    for number, day in enumerate(["2026-03-31", "2026-04-30"]):
        write_data(tmp_path / f"{day}.npz", seed=20 + number)
    command = (
        *("backfill", "spots", "--from", "2026-03-31", "--to", "2026-04-30"),
        *("--every", "month", "--workers", "2"),
        *("--set", f"data.source={tmp_path}/{{date}}.npz"),
        *("--set", "training.epochs=1", "--set", "gates=[]"),
    )
    code, answer = services.headrace(*command, HEADRACE_PROJECT=str(place))
    assert code == 0, answer
    assert answer["counts"] == {"registered": 2}
    assert [run["date"] for run in answer["runs"]] == ["2026-03-31", "2026-04-30"]
    made = {run["weights_digest"] for run in answer["runs"]}
    assert made <= set(weights(services))
    before = len(runs_of(api, "train/spots"))
    code, again = services.headrace(*command, HEADRACE_PROJECT=str(place))
    assert (code, again["skipped"]) == (0, 2)
    assert len(runs_of(api, "train/spots")) == before
