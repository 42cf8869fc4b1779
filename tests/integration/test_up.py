"""`headrace up`: all servers and workers of a home, found, kept, and taken down."""

import contextlib
import json
import signal
import time
import urllib.error
import urllib.request

import psutil
import pytest

from headrace_ops.supervisor import RESTART_AFTER_SECONDS

pytestmark = pytest.mark.integration

QUICK = ("--set", "training.epochs=1", "--set", "gates=[]")


def processes_of(home):
    """All that has this home on its command line or in its environment."""
    found = []
    for process in psutil.process_iter():
        try:
            told = " ".join(process.cmdline())
            told += process.environ().get("HEADRACE_HOME", "")
        except psutil.Error:
            continue
        if str(home) in told:
            found.append(process)
    return found


def those(home, part):
    """The processes of a home, no guards, with something on the command line."""
    found = []
    for process in processes_of(home):
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            line = " ".join(process.cmdline())
            if part in line and "headrace_ops.guard" not in line:
                found.append(process)
    return found


def until(met, seconds=60):
    limit = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < limit
        time.sleep(0.1)


def get(url, headers=None):
    request = urllib.request.Request(url, headers=headers or {})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def test_all_of_it_answers_and_is_found(services):
    assert set(services.links) == {"headrace", "prefect", "mlflow"}
    told = services.environment
    assert told["PREFECT_API_URL"] == services.links["prefect"] + "/api"
    assert told["MLFLOW_TRACKING_URI"] == services.links["mlflow"]
    assert get(told["PREFECT_API_URL"] + "/health") is True
    code, answer = services.headrace("doctor")
    assert code == 0, answer
    seen = {check["name"]: check for check in answer["checks"]}
    pools = seen["workers"]["seen"].split(", ")  # other tests have pools of their own
    assert {
        **seen["workers"],
        "seen": [p for p in pools if p[:3] in ("cpu", "gpu")],
    } == {
        "name": "workers",
        "state": "ok",
        "seen": ["cpu: 1", "gpu: 1"],
        "fix": "",
    }
    assert seen["ledger"]["seen"].startswith("postgresql")


def test_a_run_finds_the_databases_by_itself(services):
    code, answer = services.headrace("run", "blobs", *QUICK)
    assert (code, answer["status"]) == (0, "registered"), answer
    assert answer["links"]["mlflow"].startswith(services.links["mlflow"])
    assert answer["links"]["prefect"].startswith(services.links["prefect"])
    link = f"{services.links['prefect']}/api/flow_runs/{answer['flow_run_id']}"
    run = get(link, services.authorization)
    assert run["state"]["type"] == "COMPLETED"
    assert not list(services.home.glob("*.db")), "nothing went to a file"
    code, listed = services.headrace("list")
    mine = next(row for row in listed["pipelines"] if row["name"] == "blobs")
    assert (code, mine["versions"]) == (0, answer["version"])


def test_a_second_one_says_that_it_is_running(services):
    code, answer = services.headrace("up")
    assert (code, answer["error"]["kind"]) == (2, "UsageError")
    assert services.links["prefect"] in answer["reason"]


@pytest.mark.parametrize("part", ["prefect_server", "mlflow server", "--pool gpu"])
def test_a_server_or_worker_that_is_killed_is_started_again(services, part):
    (killed,) = those(services.home, part)
    until(lambda: time.time() - killed.create_time() > RESTART_AFTER_SECONDS)
    killed.kill()
    until(lambda: killed not in (found := those(services.home, part)) and bool(found))
    until(lambda: services.headrace("doctor")[0] == 0)


def test_nothing_is_left_and_the_state_is_kept(project, new_home, start_up, take_down):
    home = new_home()
    first = start_up(home, project, "--no-workers")
    assert not [p for p in processes_of(home) if "worker" in p.cmdline()]
    code, ran = first.headrace("run", "blobs", *QUICK)
    assert code == 0, ran
    code, err = take_down(first)
    assert (code, "Traceback" in err) == (0, False), err
    assert processes_of(home) == []
    again = start_up(home, project, "--no-workers")
    code, answer = again.headrace("run", "blobs", *QUICK)
    assert (code, answer["status"]) == (0, "unchanged"), answer
    again.process.kill()  # not even told
    again.process.wait()
    until(lambda: processes_of(home) == [])


def test_a_worker_hands_on_places_and_no_secret(services):
    (worker,) = those(services.home, "--pool cpu")
    environment = worker.environ()
    assert environment["HEADRACE_HOME"] == str(services.home)
    assert environment["PREFECT_API_URL"] == services.links["prefect"] + "/api"
    assert "MLFLOW_BACKEND_STORE_URI" not in environment
    assert "PREFECT_API_DATABASE_CONNECTION_URL" not in environment


def test_a_password_is_asked_for_and_written_nowhere(
    project, new_home, start_up, take_down
):
    home = new_home()
    secret = "ada:canary-of-prefect"
    locked = start_up(home, project, PREFECT_SERVER_API_AUTH_STRING=secret)
    try:
        with pytest.raises(urllib.error.HTTPError, match="401"):
            get(f"{locked.links['prefect']}/api/admin/version")
        code, answer = locked.headrace("doctor")  # with the secret: it gets in
        assert code == 0, answer
        seen = {check["name"]: check["seen"] for check in answer["checks"]}
        assert "cpu: 1, gpu: 1" in seen["workers"], "the workers got in too"
        locked.variables.clear()
        code, answer = locked.headrace("doctor")
        assert (code, answer["status"]) == (2, "wrong")
    finally:
        take_down(locked)
    told = [json.dumps(locked.environment), json.dumps(locked.links)]
    told += [
        path.read_bytes().decode(errors="replace")
        for path in home.rglob("*")
        if path.is_file()
    ]
    assert not [text for text in told if "canary" in text]


def test_a_start_that_is_interrupted_can_be_made_again(
    project, new_home, start_command, start_up, take_down
):
    home = new_home()
    process = start_command(home, project, "up", "--json")
    until(lambda: those(home, "prefect_server"))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, json.loads(out)["status"]) == (130, "error"), err
    until(lambda: processes_of(home) == [])
    again = start_up(home, project, "--no-workers")
    assert take_down(again)[0] == 0
