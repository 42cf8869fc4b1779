"""Who may ask Prefect for runs has the worker execute no code of his own.

The attacker here has the login of the server: what he asks for is refused by the
worker, in the state of the run, and never executed.
"""

import base64
import json
import os
import pickle
import shutil
import time

import httpx
import pytest
from tests.attacks.conftest import Patient
from tests.integration.conftest import down, up

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

GOOD = "headrace_flows.train.train"
FLOW = """
import pathlib
from prefect import flow

pathlib.Path({mark!r}).touch()

@flow
def train():
    pathlib.Path({mark!r}).touch()
"""


@pytest.fixture(scope="module")
def services(project, tmp_path_factory):
    """A home with its servers and workers; its pipeline is deployed."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(project / "pipelines", folder / "pipelines")
    with (folder / "pipelines" / "blobs" / "pipeline.toml").open("a") as file:
        file.write("\n[deploy]\npool = 'cpu'\n")
    started = up(tmp_path_factory.mktemp("worker") / "home", folder)
    code, answer = started.headrace("deploy")
    assert code == 0, answer
    yield started
    down(started)


@pytest.fixture
def api(services):
    url = f"{services.links['prefect']}/api"
    headers = services.authorization
    with httpx.Client(
        base_url=url, headers=headers, timeout=60, transport=Patient()
    ) as client:
        yield client


@pytest.fixture
def mark(tmp_path):
    """A file that the attacker's code makes."""
    return tmp_path / "executed"


@pytest.fixture
def evil(tmp_path, mark):
    """The attacker's file of flows."""
    file = tmp_path / "evil.py"
    file.write_text(FLOW.format(mark=str(mark)))
    return file


def post(api, page, **body):
    answer = api.post(page, json=body)
    answer.raise_for_status()
    found = answer.json()
    return found


def deployed(api, flow="train", **body):
    """The id of a deployment of the attacker's on the pool ``cpu``."""
    flow_id = post(api, "/flows/", name=flow)["id"]
    body = {"name": "evil", "entrypoint": GOOD, "pull_steps": [], **body}
    made = post(api, "/deployments/", flow_id=flow_id, work_pool_name="cpu", **body)
    return str(made["id"])


def ours(api):
    found = api.get("/deployments/name/train/blobs").json()
    return found


def run_of(api, deployment, **body):
    """The state in which a run of a deployment ends."""
    run = post(api, f"/deployments/{deployment}/create_flow_run", **body)
    return ended(api, str(run["id"]))


def ended(api, run):
    limit = time.monotonic() + 200
    while True:
        state = api.get(f"/flow_runs/{run}").json()["state"]
        if state["type"] in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}:
            return state
        assert time.monotonic() < limit, state
        time.sleep(0.3)


def check_refused(state, why, mark):
    assert (state["type"], state["name"]) == ("FAILED", "Refused"), state
    assert state["message"].startswith("The worker does not start this run: ")
    assert why in state["message"]
    assert not mark.exists()


def test_our_deployment_is_run(api):
    spec = ours(api)["parameters"]["pipeline"]
    spec["training"] |= {"epochs": 1}
    spec["gates"] = []
    state = run_of(api, ours(api)["id"], parameters={"pipeline": spec})
    assert state["type"] == "COMPLETED", state


def test_a_deployment_that_deploy_did_not_make_is_refused(api, mark, evil):
    made = deployed(api, entrypoint=f"{evil}:train")
    check_refused(run_of(api, made), "is not recorded", mark)
    made = deployed(api, entrypoint="evil.py:train", path=str(evil.parent))
    check_refused(run_of(api, made), "is not recorded", mark)
    step = {"prefect.deployments.steps.run_shell_script": {"script": f"touch {mark}"}}
    made = deployed(api, pull_steps=[step])
    check_refused(run_of(api, made), "is not recorded", mark)
    check_refused(run_of(api, deployed(api)), "is not recorded", mark)


def test_a_run_without_a_deployment_is_refused(api, mark):
    flow = post(api, "/flows/", name="train")["id"]
    body = {"flow_id": flow, "work_queue_name": "default", "work_pool_name": "cpu"}
    run = post(api, "/flow_runs/", **body, state={"type": "SCHEDULED"})
    check_refused(ended(api, str(run["id"])), "it has no deployment", mark)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda evil: {"entrypoint": f"{evil}:train"}, "has the entrypoint"),
        (lambda evil: {"entrypoint": "os.system"}, "has the entrypoint"),
        (lambda evil: {"path": str(evil.parent)}, "fetches code"),
        (
            lambda evil: {
                "pull_steps": [
                    {
                        "prefect.deployments.steps.run_shell_script": {
                            "script": f"touch {evil.parent}/executed"
                        }
                    }
                ]
            },
            "fetches code",
        ),
    ],
    ids=["file", "module", "path", "step"],
)
def test_our_deployment_that_another_changed_is_refused(
    services, api, mark, evil, change, why
):
    found = ours(api)
    body = {"entrypoint": GOOD, "pull_steps": [], **change(evil)}
    try:
        deployed(api, name="blobs", parameters=found["parameters"], **body)
        check_refused(run_of(api, found["id"]), why, mark)
    finally:
        api.delete(f"/deployments/{found['id']}")
        assert services.headrace("deploy")[0] == 0


@pytest.mark.parametrize(
    "variables",
    [
        {"command": "touch {mark}"},
        {"env": {"LD_PRELOAD": "{mark}"}},
        {"env.PYTHONSTARTUP": "{mark}"},
        {"working_dir": "/tmp"},
    ],
    ids=lambda variables: next(iter(variables)),
)
def test_a_deployment_or_a_run_sets_no_job_variable(api, mark, variables):
    body = {"job_variables": variables}
    with pytest.raises(httpx.HTTPStatusError, match=r"409|422"):
        deployed(api, **body)
    # Prefect takes them where the pool's template is open, as it is to who has a login.
    opened = {
        "job_configuration": {
            "command": "{{ command }}",
            "env": "{{ env }}",
            "working_dir": "{{ working_dir }}",
        },
        "variables": {
            "type": "object",
            "properties": {
                "command": {"type": "string"},
                "env": {"type": "object"},
                "working_dir": {"type": "string"},
            },
        },
    }
    closed = api.get("/work_pools/cpu").json()["base_job_template"]
    api.patch("/work_pools/cpu", json={"base_job_template": opened}).raise_for_status()
    try:
        state = run_of(api, ours(api)["id"], **body)
        check_refused(state, "sets the job variables", mark)
    finally:
        body = {"base_job_template": closed}
        api.patch("/work_pools/cpu", json=body).raise_for_status()


def test_a_pool_has_no_say_in_the_command(api, mark):
    closed = api.get("/work_pools/cpu").json()["base_job_template"]
    for fixed, why in (
        ({"command": f"touch {mark}"}, "a command"),
        ({"env": {"PREFECT__FLOW_ENTRYPOINT": "os.system"}}, "environment variables"),
    ):
        template = {**closed, "job_configuration": fixed}
        body = {"base_job_template": template}
        api.patch("/work_pools/cpu", json=body).raise_for_status()
        try:
            limit = time.monotonic() + 60
            while True:  # until the worker has heard of it
                state = run_of(api, ours(api)["id"])
                if state["name"] == "Refused" or time.monotonic() > limit:
                    break
            assert (state["type"], state["name"]) == ("FAILED", "Refused"), state
            assert why in state["message"]
            assert not mark.exists()
        finally:
            body = {"base_job_template": closed}
            api.patch("/work_pools/cpu", json=body).raise_for_status()


def test_a_pipelines_folder_comes_from_the_store_alone(api, mark, tmp_path):
    (tmp_path / "model.py").write_text(f"open({str(mark)!r}, 'w')\n")
    spec = ours(api)["parameters"]["pipeline"]
    spec["model"]["builder"] = "model:build"
    for folder in (str(tmp_path), f"sha256:../../../..{tmp_path}"):
        given = {"pipeline": spec, "folder": folder}
        state = run_of(api, ours(api)["id"], parameters=given)
        check_refused(state, "folder", mark)


@pytest.mark.parametrize(
    ("builder", "why"),
    [
        ("{folder}/model:build", "is not what the file of blobs says"),
        ("..model:build", "is not what the file of blobs says"),
        ("subprocess:Popen", "is not what the file of blobs says"),
    ],
    ids=["path", "above", "installed"],
)
def test_a_trigger_chooses_no_code_as_the_builder(api, mark, tmp_path, builder, why):
    (tmp_path / "model.py").write_text(f"open({str(mark)!r}, 'w')\n")
    given = ours(api)["parameters"]
    given["pipeline"]["model"]["builder"] = builder.format(folder=tmp_path)
    state = run_of(api, ours(api)["id"], parameters=given)
    assert (state["type"], why in state["message"]) == ("FAILED", True), state
    assert not mark.exists()


def test_a_trigger_chooses_no_code_for_the_training(api):
    given = ours(api)["parameters"]
    given["pipeline"]["training"]["optimizer"] = {"name": "subprocess:Popen"}
    state = run_of(api, ours(api)["id"], parameters=given)
    assert state["type"] == "FAILED", state
    assert "'subprocess:Popen' is not what the file of blobs says" in state["message"]


def pending(api):
    """A run of our deployment that the worker has admitted and is just starting."""
    run = post(api, f"/deployments/{ours(api)['id']}/create_flow_run")
    limit = time.monotonic() + 60
    while api.get(f"/flow_runs/{run['id']}").json()["state"]["type"] == "SCHEDULED":
        assert time.monotonic() < limit
        time.sleep(0.05)
    return str(run["id"])


def test_parameters_that_change_after_the_admission_lead_nowhere(api, mark, tmp_path):
    (tmp_path / "model.py").write_text(f"open({str(mark)!r}, 'w')\n")
    (tmp_path / "pipeline.toml").write_text(
        "medium = 'image'\ndata.source = 'x.npz'\nmodel.builder = 'model:build'\n"
    )
    given = ours(api)["parameters"]
    given["pipeline"]["model"]["builder"] = "model:build"
    run = pending(api)
    body = {"parameters": {**given, "folder": str(tmp_path)}}
    api.patch(f"/flow_runs/{run}", json=body).raise_for_status()
    state = ended(api, run)
    assert state["type"] == "FAILED", state
    assert "is a path, and a deployment's is in the store" in state["message"]
    assert not mark.exists()


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_a_result_that_the_server_tells_of_is_not_unpickled(
    services, api, mark, tmp_path
):
    metadata = {
        "storage_key": str(tmp_path / "result"),
        "serializer": {"type": "pickle"},
        "prefect_version": "3.4.0",
    }
    result = base64.encodebytes(pickle.dumps(Touch(mark))).decode()
    record = {"metadata": metadata, "result": result}
    (tmp_path / "result").write_text(json.dumps(record))
    kind = api.get("/block_types/slug/local-file-system").json()["id"]
    wanted = {"block_schemas": {"block_type_id": {"any_": [kind]}}}
    block = post(
        api,
        "/block_documents/",
        name="evil",
        block_type_id=kind,
        block_schema_id=api.post("/block_schemas/filter", json=wanted).json()[0]["id"],
        data={"basepath": str(tmp_path)},
    )
    run = pending(api)
    forged = {
        "type": "COMPLETED",
        "data": {**metadata, "storage_block_id": block["id"]},
    }
    post(api, f"/flow_runs/{run}/set_state", state=forged, force=True)
    log = services.home / "cpu-worker.log"
    limit = time.monotonic() + 60
    while "it was not read" not in log.read_text(errors="replace"):
        assert not mark.exists()
        assert time.monotonic() < limit
        time.sleep(0.3)
    assert not mark.exists()
