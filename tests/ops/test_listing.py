"""What `headrace list` says of what runs and serves."""

import os
import threading

import pytest

from headrace.settings import Settings
from headrace.state.announced import announced
from headrace.state.ledger.holding import heartbeat, hold
from headrace.state.ledger.leases import Lease, Leases
from headrace_ops.listing import listed

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


def runs_of(settings):
    return listed(settings)["runs"]


def test_a_home_in_which_nothing_runs(home):
    answer = home.headrace("list", "--json")
    assert answer.exit_code == 0
    assert (answer.json["runs"], answer.json["serving"]) == ([], [])
    assert not home.path.exists(), "a look makes nothing"


def test_a_run_under_way_is_listed(home, settings):
    with hold(settings, "digits", RUN):
        text = home.headrace("list").out
    assert f"run: digits {RUN} by ada@lab, process {os.getpid()} on " in text


def test_runs_under_way_are_known_by_their_leases(settings):
    with hold(settings, "digits", RUN), heartbeat(settings, "other", "plays"):
        first, second = runs_of(settings)
        assert (first["pipeline"], first["flow_run_id"]) == ("digits", RUN)
        assert (first["who"], first["process"]) == ("ada@lab", os.getpid())
        assert (second["pipeline"], second["flow_run_id"]) == ("plays", "other")
        with heartbeat(settings, RUN):
            assert len(runs_of(settings)) == 2, "both leases are of one run"
    assert runs_of(settings) == []


def test_a_run_that_waits_for_another_has_the_name_of_its_pipeline(settings):
    def wait():
        with hold(settings, "digits", "second"):
            pass

    waiting = threading.Thread(target=wait)
    with hold(settings, "digits", RUN):
        waiting.start()
        while len(runs := runs_of(settings)) < 2:
            assert waiting.is_alive()
    waiting.join()
    found = [(run["flow_run_id"], run["pipeline"]) for run in runs]
    assert found == [(RUN, "digits"), ("second", "digits")]


def test_a_run_whose_process_is_gone_is_not_under_way(settings):
    wanted = Lease.wanted("digits", RUN, "ada@lab")
    Leases(settings.database_url).acquire(wanted.model_copy(update={"started": "x"}))
    assert runs_of(settings) == []


def test_a_process_that_serves_is_shown(home, settings):
    with announced(home.path, "http://127.0.0.1:8080", ["digits"]):
        text = home.headrace("list").out
        (one,) = home.headrace("list", "--json").json["serving"]
    assert f"digits at http://127.0.0.1:8080, process {os.getpid()}, since 20" in text
    assert (one["models"], one["process"]) == (["digits"], os.getpid())
