"""What `headrace list` says of what runs and serves."""

import os
import threading

import pytest

from headrace.serving.announced import announced
from headrace.settings import Settings
from headrace.state.ledger.holding import heartbeat, hold
from headrace.state.ledger.leases import Lease, Leases
from headrace_ops.running import look

RUN = "01997f0e-0000-7000-8000-000000000001"


@pytest.fixture(autouse=True)
def _nothing_is_configured(monkeypatch):
    for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def settings(tmp_path):
    """A new home with an empty ledger."""
    place = {"project": tmp_path, "home": tmp_path / "home"}
    return Settings(**place, user="ada@lab").prepare_home()


def test_a_home_in_which_nothing_runs(home):
    answer = home.headrace("list", "--json")
    assert answer.exit_code == 0
    assert {name: answer.json[name] for name in ("runs", "serving", "workers")} == {
        "runs": [],
        "serving": [],
        "workers": [],
    }
    assert not home.path.exists(), "a look makes nothing"


def test_a_run_under_way_is_listed(home, settings):
    with hold(settings, "digits", RUN):
        text = home.headrace("list").out
    assert f"run: digits {RUN} by ada@lab, process {os.getpid()} on " in text


def test_runs_under_way_are_known_by_their_leases(settings):
    with hold(settings, "digits", RUN), heartbeat(settings, "other", "plays"):
        first, second = look(settings).runs
        assert (first.pipeline, first.flow_run_id) == ("digits", RUN)
        assert (first.who, first.process) == ("ada@lab", os.getpid())
        assert (second.pipeline, second.flow_run_id) == ("plays", "other")
        with heartbeat(settings, RUN):
            assert len(look(settings).runs) == 2, "both leases are of one run"
    assert look(settings).runs == ()


def test_a_run_that_waits_for_another_has_the_name_of_its_pipeline(settings):
    def wait():
        with hold(settings, "digits", "second"):
            pass

    waiting = threading.Thread(target=wait)
    with hold(settings, "digits", RUN):
        waiting.start()
        while len(runs := look(settings).runs) < 2:
            assert waiting.is_alive()
    waiting.join()
    found = [(run.flow_run_id, run.pipeline) for run in runs]
    assert found == [(RUN, "digits"), ("second", "digits")]


def test_a_run_whose_process_is_gone_is_not_under_way(settings):
    wanted = Lease.wanted("digits", RUN, "ada@lab")
    Leases(settings.database_url).acquire(wanted.model_copy(update={"started": "x"}))
    assert look(settings).runs == ()


def test_workers_are_those_that_the_server_hears_of(settings, client_of_prefect):
    client_of_prefect("attic", "box attic 7-ab12")
    (worker,) = look(settings).workers
    assert (worker.pool, worker.name) == ("attic", "box attic 7-ab12")
    assert worker.seen


def test_a_process_that_serves_is_shown(home, settings):
    with announced(home.path, "http://127.0.0.1:8080", ["digits"]):
        text = home.headrace("list").out
        (one,) = home.headrace("list", "--json").json["serving"]
    assert f"digits at http://127.0.0.1:8080, process {os.getpid()}, since 20" in text
    assert (one["models"], one["process"]) == (["digits"], os.getpid())


def test_workers_are_left_out_where_the_server_refuses_the_login(
    settings, prefect_server, monkeypatch
):
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "ada:wrong")
    assert look(settings).workers == ()


@pytest.fixture
def client_of_prefect(prefect_server, monkeypatch):
    """Has a worker of a pool tell the server of itself."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate

    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    pools = []

    def beat(pool, name):
        pools.append(pool)
        with get_client(sync_client=True) as client:
            client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
            client.request(
                "POST",
                "/work_pools/{work_pool_name}/workers/heartbeat",
                path_params={"work_pool_name": pool},
                json={"name": name},
            )

    yield beat
    with get_client(sync_client=True) as client:
        for pool in pools:
            client.delete_work_pool(pool)
