"""Reports leave Prefect's database: events, free pages and log."""

import contextlib
import json
import shutil
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from headrace.databases import POSTGRES_FOLDER, postgres_url
from headrace.errors import DependencyError
from headrace_ops import postgres, prefect_events
from headrace_ops.prefect_events import delete_events

SECRET = "A" * 1500  # which PostgreSQL does not compress
REPORT = f"# blobs\n\n| group {SECRET} |"
TABLES = """
CREATE TABLE events (id TEXT PRIMARY KEY, event TEXT, payload TEXT);
CREATE TABLE event_resources (id TEXT PRIMARY KEY, event_id TEXT, resource TEXT);
CREATE TABLE artifact (id TEXT PRIMARY KEY, data TEXT);
CREATE TABLE artifact_collection (id TEXT PRIMARY KEY, data TEXT);
"""


@pytest.fixture
def database(settings):
    """Prefect's tables in a home, as far as they matter, in use by a server."""
    folder = settings.home / "prefect"
    folder.mkdir()
    with contextlib.closing(sqlite3.connect(folder / "prefect.db")) as opened:
        opened.executescript(f"PRAGMA journal_mode = WAL; {TABLES}")
        for number, name in enumerate(("created", "updated", "deleted")):
            event = f"prefect.artifact-collection.{name}"
            payload = json.dumps({"data": REPORT})
            values = (str(number), event, payload)
            opened.execute("INSERT INTO events VALUES (?, ?, ?)", values)
            values = (str(number), str(number), "prefect.flow-run.1")
            opened.execute("INSERT INTO event_resources VALUES (?, ?, ?)", values)
        opened.execute("INSERT INTO events VALUES ('9', 'prefect.flow-run.X', '{}')")
        opened.execute("INSERT INTO event_resources VALUES ('9', '9', 'x')")
        opened.commit()
        yield opened


def held(settings):
    """All bytes of the database's files."""
    files = sorted(Path(settings.home, "prefect").iterdir())
    return b"".join(file.read_bytes() for file in files)


def test_events_on_reports_are_gone_also_from_free_pages(
    settings, database, tmp_path, monkeypatch
):
    assert SECRET[:999].encode() in held(settings)
    other = tmp_path / "other" / "prefect.db"
    other.parent.mkdir()
    shutil.copy(settings.home / "prefect" / "prefect.db", other)
    before = other.read_bytes()
    monkeypatch.setenv("PREFECT_HOME", str(other.parent))  # perhaps of other projects
    assert delete_events(settings) == 3
    assert other.read_bytes() == before
    assert SECRET[:99].encode() not in held(settings)
    for table in ("events", "event_resources"):
        assert database.execute(f"SELECT id FROM {table}").fetchall() == [("9",)]
    assert delete_events(settings) == 0


def test_a_database_that_somebody_reads_is_said_to_be_in_use(
    settings, database, monkeypatch
):
    monkeypatch.setattr(prefect_events, "_WAIT_SECONDS", 0)
    database.execute("BEGIN")
    database.execute("SELECT * FROM events").fetchone()
    with pytest.raises(DependencyError, match="is in use, so that its write-ahead log"):
        delete_events(settings)
    database.rollback()
    delete_events(settings)
    assert SECRET[:99].encode() not in held(settings)


@pytest.mark.system
def test_a_home_with_postgresql_is_cleaned_alike(settings):
    with postgres.migration_target(settings) as socket:
        postgres._record(settings.home, socket)
        engine = sa.create_engine(postgres_url(socket, "prefect"))
        tables = TABLES.replace("payload TEXT", "payload JSON")
        with engine.begin() as opened:
            opened.exec_driver_sql(tables.replace("data TEXT", "data JSON"))
            report = json.dumps(REPORT)
            event = ("1", "prefect.artifact-collection.created", report)
            opened.exec_driver_sql("INSERT INTO events VALUES (%s, %s, %s)", event)
        assert delete_events(settings) == 1
        engine.dispose()
        stored = (settings.home / POSTGRES_FOLDER / "base").rglob("*")
        files = [path.read_bytes() for path in stored if path.is_file()]
        assert SECRET[:99].encode() not in b"".join(files)


def test_a_home_without_prefect_has_no_events(settings):
    assert delete_events(settings) == 0
    (settings.home / "prefect").mkdir()
    sqlite3.connect(settings.home / "prefect" / "prefect.db").close()
    assert delete_events(settings) == 0
