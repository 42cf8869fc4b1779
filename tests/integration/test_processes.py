"""No command leaves a process behind, however it ended."""

import contextlib
import json
import signal

import httpx
import psutil
import pytest
from tests.blobs import write_law
from tests.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]

SECONDS = 10  # in which all must have ended
NUMBERS = [signal.SIGINT, signal.SIGTERM]


def left_of(mark):
    """The command lines of processes with a word on them, or in their environment."""
    left = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):  # it has ended, or is not ours
            line = " ".join(process.cmdline())
            if mark in " ".join([line, *process.environ().values()]):
                left.append(line)
    return left


def assert_none_left(mark):
    with contextlib.suppress(AssertionError):
        until(lambda: not left_of(mark), seconds=SECONDS)
    assert left_of(mark) == []


def test_a_run_leaves_no_process(start_command, tmp_path):
    run = start_command(tmp_path / "home", tmp_path, "run", "digits", "--json")
    try:
        out, err = run.communicate(timeout=1000)
    finally:
        run.kill()
    assert json.loads(out)["status"] == "promoted", err
    assert_none_left(str(tmp_path / "home"))


@pytest.mark.parametrize("number", NUMBERS)
def test_a_server_leaves_no_process(second, copy_of, start_command, tmp_path, number):
    home = copy_of(second[0].path, tmp_path / "home")
    server = start_command(home, tmp_path, "serve", "blobs", "--port=0", "--json")
    assert json.loads(server.stdout.readline())["status"] == "serving"
    server.send_signal(number)
    server.communicate(timeout=60)
    assert_none_left(str(home))


@pytest.mark.parametrize("number", NUMBERS)
def test_up_and_a_run_of_its_worker_leave_no_process(
    project, start_up, take_down, tmp_path, number
):
    folder = tmp_path / "own" / "pipelines" / "blobs"
    write_law(project, folder, evaluation='{ depth = "auto" }')
    with (folder / "pipeline.toml").open("a") as file:
        file.write("\n[deploy]\n")
    services = start_up(tmp_path / "home", tmp_path / "own")
    code, answer = services.headrace("deploy", "blobs")
    assert code == 0, answer
    with httpx.Client(
        base_url=services.links["prefect"] + "/api",
        headers=services.authorization,
        timeout=30,
    ) as api:
        deployment = api.get("/deployments/name/train/blobs").json()["id"]
        start = f"/deployments/{deployment}/create_flow_run"
        run = api.post(start, json={}).raise_for_status().json()["id"]

        def state():
            return api.get(f"/flow_runs/{run}").json()["state"]["name"]

        until(lambda: state() == "Promoted", state, seconds=300)
    assert_none_left(run)
    code, err = take_down(services, number)
    assert code == 0, err
    assert_none_left(str(tmp_path / "home"))
