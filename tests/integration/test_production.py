"""All of production at once: databases, servers, pools, object storage, a clock."""

import shutil
import time

import httpx
import pytest
from tests.databases import new_databases

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

DEPLOY = '\n[deploy]\ncron = "* * * * *"\ntrain_pool = "gpu"\n'


@pytest.fixture
def services(project, tmp_path, storage, new_home, start_up, take_down, database):
    """All of it, with a project whose ``blobs`` runs every minute."""
    place = tmp_path / "project"
    shutil.copytree(project, place)
    with (place / "pipelines" / "blobs" / "pipeline.toml").open("a") as file:
        file.write(DEPLOY)
    variables = {**storage.environment, **new_databases(database)}
    started = start_up(new_home(), place, **variables)
    yield started
    take_down(started)


def ended_by_the_clock(api, flow):
    """The first run of a flow that has ended, whoever started it."""
    wanted = {
        "flows": {"name": {"any_": [flow]}},
        "flow_runs": {"state": {"type": {"not_any_": ["SCHEDULED", "PENDING"]}}},
        "sort": "EXPECTED_START_TIME_ASC",
    }
    limit = time.monotonic() + 240
    while time.monotonic() < limit:
        found = api.post("/flow_runs/filter", json=wanted).json()
        if found and found[0]["state_type"] != "RUNNING":
            first = found[0]
            return first
        time.sleep(0.5)
    pytest.fail(f"no run of {flow} ended")


def test_a_scheduled_run_gives_the_model_that_a_run_here_gives(
    services, storage, run_on_a_disk
):
    code, answer = services.headrace("deploy")
    assert code == 0, answer
    with httpx.Client(
        base_url=f"{services.links['prefect']}/api", headers=services.authorization
    ) as api:
        ran = ended_by_the_clock(api, "train")
        fit = ended_by_the_clock(api, "fit")
    assert ran["state"]["name"] == "Promoted", ran["state"]
    assert ran["auto_scheduled"]
    assert fit["state"]["name"] == "Completed", fit["state"]
    assert fit["work_pool_name"] == "gpu"

    _, compared = services.headrace("compare", "blobs")
    (version,) = compared["versions"]
    assert version["weights_digest"] == run_on_a_disk["weights_digest"]
    kinds = {key.split("/")[1] for key in storage.keys()}
    assert {"snapshots", "stages", "trainings", "mlartifacts"} <= kinds
    here = {path.name for path in services.home.iterdir()}
    assert not here & {"store", "mlartifacts", "headrace.db", "mlflow.db"}
