"""Databases that can serve as a ledger, and what happens when one cannot."""

import json
import re
import resource
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy
from tests.src.state.ledger.conftest import (
    a_version,
    fill,
    promote,
    url_of,
)

import headrace.state.ledger
from headrace.errors import DependencyError, HeadraceError, UsageError
from headrace.state.ledger import Ledger
from headrace.state.ledger.database import Database


def test_the_password_is_never_shown(tmp_path):
    with pytest.raises(HeadraceError) as caught:
        Ledger("mysql://user:secret@host/name")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://user@host/name", "names 'mysql'; expected one of sqlite, "),
        ("postgresql+asyncpg://host/name", r"names 'postgresql\+asyncpg'; expected"),
        ("headrace.db", "is not a database URL.*sqlite:////path"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
    ],
)
def test_another_kind_of_database_is_refused(url, message):
    with pytest.raises(UsageError, match=message):
        Ledger(url)


def test_a_missing_driver_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    with pytest.raises(UsageError, match="needs the Python package 'psycopg2'"):
        Ledger("postgresql+psycopg2://host/name")


def test_a_ledger_of_another_format_is_refused(ledger, tmp_path):
    with sqlite3.connect(tmp_path / "headrace.db") as connection:
        connection.execute("UPDATE ledger_format SET format = 3")
    connection.close()
    with pytest.raises(UsageError, match="has format 3; this version reads format 9"):
        Ledger(url_of(tmp_path))


def test_a_file_that_is_not_a_database_is_refused(tmp_path):
    (tmp_path / "headrace.db").write_bytes(b"not a database, " * 64)
    with pytest.raises(UsageError, match="used as a ledger: file is not a database"):
        Ledger(url_of(tmp_path))


def test_an_open_ledger_is_kept_when_opened_again(ledger, tmp_path):
    fill(ledger, 1)
    promote(ledger, 1)
    again = Ledger(url_of(tmp_path))
    assert again.history("digits") == ledger.history("digits")


def test_sqlite_writes_ahead(ledger, tmp_path):
    with sqlite3.connect(tmp_path / "headrace.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def numbers_of(ledger):
    return [version.version for version in ledger.versions("digits")]


def test_many_reads_can_be_one_transaction_over_one_connection(
    ledger, tmp_path, monkeypatch
):
    fill(ledger, 1)
    opened = []
    connect = Database._connect
    monkeypatch.setattr(
        Database, "_connect", lambda self: (opened.append(self.name), connect(self))[1]
    )
    with ledger.database.reading_once():
        before = numbers_of(ledger)
        fill(Ledger(url_of(tmp_path)), 2)  # as another process does
        opened.clear()
        assert numbers_of(ledger) == before == [1]
        assert ledger.newest_version("digits").version == 1
        assert not opened
    assert numbers_of(ledger) == [1, 2]


def test_what_is_written_among_such_reads_is_read(ledger):
    fill(ledger, 1)
    with ledger.database.reading_once():
        assert numbers_of(ledger) == [1]
        fill(ledger, 2)
        assert numbers_of(ledger) == [1, 2]


def test_a_failed_read_does_not_disturb_those_after_it(ledger):
    fill(ledger, 1)
    with ledger.database.reading_once():
        with pytest.raises(HeadraceError, match="no such table"):
            ledger.database.rows(sqlalchemy.select(sqlalchemy.text("1 FROM nowhere")))
        assert numbers_of(ledger) == [1]


def test_what_fails_among_such_reads_is_not_blamed_on_the_ledger(ledger):
    with pytest.raises(json.JSONDecodeError), ledger.database.reading_once():
        json.loads("{nope")


def test_such_reads_within_such_reads_are_part_of_them(ledger):
    fill(ledger, 1)
    with ledger.database.reading_once():
        kept = ledger.database._per_thread.connection
        with ledger.database.reading_once():
            assert numbers_of(ledger) == [1]
        assert ledger.database._per_thread.connection is kept is not None
    assert ledger.database._per_thread.connection is None


def test_such_reads_are_those_of_one_thread(ledger):
    fill(ledger, 1)
    with ledger.database.reading_once(), ThreadPoolExecutor(1) as other:
        assert numbers_of(ledger) == [1]
        other.submit(fill, ledger, 2).result()
        assert other.submit(numbers_of, ledger).result() == [1, 2]
        assert numbers_of(ledger) == [1]


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("headrace.state.ledger.TIMEOUT_SECONDS", 0.1)


@pytest.mark.usefixtures("impatient")
def test_a_locked_database_is_safe_to_retry(ledger, tmp_path):
    impatient = Ledger(url_of(tmp_path))
    fill(impatient, 1)
    other = sqlite3.connect(tmp_path / "headrace.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(
        DependencyError, match=r"headrace.db did not answer: database is locked.*retry"
    ):
        promote(impatient, 1)
    other.execute("ROLLBACK")
    other.close()
    assert promote(impatient, 1).sequence == 1


@pytest.mark.usefixtures("impatient")
def test_a_new_database_that_stays_locked_is_safe_to_retry(tmp_path):
    other = sqlite3.connect(tmp_path / "headrace.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(DependencyError, match=r"database is locked.*safe to retry"):
        Ledger(url_of(tmp_path))
    other.execute("ROLLBACK")
    other.close()
    assert Ledger(url_of(tmp_path)).models() == []


def test_a_folder_that_is_missing_is_safe_to_retry(tmp_path):
    with pytest.raises(DependencyError, match="unable to open database file"):
        Ledger(url_of(tmp_path / "missing"))


def test_a_read_only_database_can_be_read_and_not_written(ledger, tmp_path):
    fill(ledger, 1)
    frozen = Ledger(f"sqlite:///file:{tmp_path}/headrace.db?mode=ro&uri=true")
    assert frozen.models() == ["digits"]
    with pytest.raises(DependencyError, match="attempt to write a readonly database"):
        promote(frozen, 1)


@pytest.fixture
def full_disk():
    """No file of this process may grow past 256 KiB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 * 1024, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_is_safe_to_retry_and_leaves_nothing_half_written(ledger):
    with pytest.raises(DependencyError, match=r"did not answer: .*safe to retry"):
        for number in range(1, 2000):
            ledger.add_version(a_version(number, details={"text": "x" * 500}))
    assert ledger.versions("digits")[-1].details == {"text": "x" * 500}


def test_the_code_never_changes_or_removes_a_row():
    folder = Path(headrace.state.ledger.__file__).parent
    paths = sorted(folder.glob("*.py"))
    code = "\n".join(path.read_text("utf-8") for path in paths)
    assert "sa.insert(" in code
    changed = re.findall(r"sa\.(?:update|delete)\((\w*)", code)
    plain = {"LEASES", "FACTS"}
    assert set(changed) == plain, "the tables beside the chain"
    assert not re.search(r"\b(UPDATE|DELETE)\b", code)
