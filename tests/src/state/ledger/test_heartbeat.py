"""A run holds its lease while it works, waits for others, and hears of its loss."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from tests.databases import postgresql, start
from tests.src.state.ledger.conftest import a_version, expire, wanted

from headrace.errors import DependencyError, UsageError
from headrace.settings import Settings
from headrace.state.ledger import Ledger, holding
from headrace.state.ledger.holding import heartbeat, hold
from headrace.state.ledger.leases import Leases

pytestmark = pytest.mark.system


@pytest.fixture
def here(tmp_path, url):
    return Settings(project=tmp_path, home=tmp_path, database_url=url, user="ada@lab")


@pytest.fixture
def quick(monkeypatch):
    """Leases are renewed and waited for without delay."""
    monkeypatch.setattr(holding, "RENEWAL_SECONDS", 0.05)
    monkeypatch.setattr(holding, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(holding, "POLL_SECONDS", 0.05)


def test_a_lease_is_renewed_and_given_back(here, quick):
    leases = Leases(here.database_url)
    with hold(here, "blobs", "one") as held:
        before = held.lease.expires
        limit = time.monotonic() + 600
        while (row := leases.current("blobs")) is None or row.expires <= before:
            assert time.monotonic() < limit
            time.sleep(0.02)
        Ledger(here.database_url, held.lease).check_lease()
    last = leases.current("blobs")
    assert last is not None
    assert last.state == "ended"
    with pytest.raises(DependencyError, match="took over blobs meanwhile"):
        Ledger(here.database_url, held.lease).check_lease()


def test_a_run_that_ends_badly_is_looked_at_later(here):
    with pytest.raises(ValueError, match="bad"), hold(here, "blobs", "one"):
        raise ValueError("bad")
    last = Leases(here.database_url).current("blobs")
    assert last is not None
    assert last.state == "lost"


def test_a_busy_pipeline_is_refused_in_words(here):
    with (
        hold(here, "blobs", "one"),
        pytest.raises(DependencyError) as refused,
        hold(here, "blobs", "two", wait=False),
    ):
        raise AssertionError
    said = str(refused.value)
    assert f"blobs is busy: ada@lab (process {os.getpid()} on" in said
    assert "UTC" in said
    assert refused.value.exit_code == 3


def test_a_run_waits_for_the_other_and_says_so(here, quick, caplog):
    order = []

    def second():
        with hold(here, "blobs", "two"):
            order.append("two")

    with caplog.at_level("INFO", "headrace"):
        with hold(here, "blobs", "one"):
            thread = threading.Thread(target=second)
            thread.start()
            limit = time.monotonic() + 600
            while "waiting" not in caplog.text and time.monotonic() < limit:
                time.sleep(0.05)
            rows, now = Leases(here.database_url).all()
            waiting = [row for row in rows if row.flow_run_id == "two"]
            assert [row.name for row in waiting] == ["flow-run/two/blobs"]
            assert waiting[0].is_alive(now)
            order.append("one")
        thread.join(600)
    assert order == ["one", "two"]
    told = [r.getMessage() for r in caplog.records if "waiting" in r.getMessage()]
    assert len(told) == 1
    assert "blobs is run by ada@lab (process" in told[0]


def test_flow_runs_that_say_that_they_live_are_in_nobodys_way(here):
    with heartbeat(here, "one"), heartbeat(here, "two"), hold(here, "blobs", "one"):
        rows, now = Leases(here.database_url).all()
        assert all(row.is_alive(now) for row in rows)
        assert len(rows) == 3


def test_a_run_that_hears_nothing_now_is_told_of_its_loss_later(here, quick):
    """As in a call of MLflow, which keeps an interrupt back."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        with pytest.raises(DependencyError, match="took over blobs"):
            with hold(here, "blobs", "one") as held:
                lost(here.database_url, held.lease)
                limit = time.monotonic() + 600
                while not held.is_lost:
                    assert time.monotonic() < limit
                    time.sleep(0.01)
                time.sleep(0.2)
                signal.signal(signal.SIGINT, signal.default_int_handler)
                time.sleep(600)
    finally:
        signal.signal(signal.SIGINT, before)


def lost(url, lease):
    """Another takes a lease whose holder still runs."""
    leases = Leases(url)
    leases.release(lease, succeeded=False)
    assert leases.acquire(wanted("two")).token == lease.token + 1


@pytest.mark.parametrize("error", [DependencyError("away", ""), UsageError("odd", "")])
def test_a_renewal_that_fails_is_tried_again(here, quick, monkeypatch, error):
    failed, renewed = threading.Event(), threading.Event()

    def renew(_leases, _lease):
        if not failed.is_set():
            failed.set()
            raise error
        renewed.set()
        return True

    monkeypatch.setattr(Leases, "renew", renew)
    with hold(here, "blobs", "one") as held:
        assert renewed.wait(600)
        assert not held.is_lost


STALE = """
import sys, time
from headrace.state.ledger import holding
from headrace.settings import Settings
holding.RENEWAL_SECONDS = 0.1
settings = Settings()
with holding.hold(settings, "blobs", "stale") as held:
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_run_that_was_stopped_finds_its_lease_gone(here):
    process = subprocess.Popen(
        [sys.executable, "-c", STALE],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "HEADRACE_HOME": str(here.home),
            "HEADRACE_DATABASE_URL": here.database_url,
            "HEADRACE_USER": "bob@lab",
        },
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        process.send_signal(signal.SIGSTOP)
        leases = Leases(here.database_url)
        assert leases.acquire(wanted("two")).flow_run_id == "stale", "it has time"
        expire(here.database_url)
        with hold(here, "blobs", "two"):
            process.send_signal(signal.SIGCONT)
            _, err = process.communicate(timeout=600)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 1
    last = err.strip().splitlines()[-1]
    assert "DependencyError" in last
    assert "Another run took over blobs by ada@lab" in last


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_database_that_is_away_for_a_while_is_ridden_out(
    tmp_path, quick, url, monkeypatch
):
    monkeypatch.setattr("headrace.state.ledger.database._PAUSE_SECONDS", 0.1)
    with postgresql(tmp_path / "own") as server:
        url = server.get_uri(driver="psycopg2")
        settings = Settings(
            project=tmp_path, home=tmp_path, database_url=url, user="ada@lab"
        )
        with hold(settings, "blobs", "one") as held:
            ledger = Ledger(settings.database_url, held.lease)
            server.stop()
            time.sleep(0.5)
            back = threading.Timer(1, start, [server])
            back.start()
            ledger.add_version(a_version(1, model="blobs"))  # waits for it
            assert not held.is_lost
            back.join()  # it answers before its start has returned
        server.stop()
        back = threading.Timer(1, start, [server])
        back.start()
        with hold(settings, "blobs", "two"):  # so does the next one
            pass
        back.join()
        last = Leases(settings.database_url).current("blobs")
        assert last is not None
        assert last.state == "ended"
