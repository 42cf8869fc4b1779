"""The temporary server of a run evaluates automations where there may be some."""

import contextlib
import os
import sqlite3
import subprocess
import sys

import pytest

from headrace_ops import environment
from headrace_ops.run_server import may_have_automations

DATABASES = (*environment.PREFECT_DATABASES, "PREFECT_SERVER_DATABASE_DRIVER")


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in DATABASES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    return tmp_path


def with_automations(home, count):
    with contextlib.closing(sqlite3.connect(home / "prefect.db")) as database:
        database.execute("CREATE TABLE automation (name TEXT)")
        rows = [("one",)] * count
        database.executemany("INSERT INTO automation VALUES (?)", rows)
        database.commit()


@pytest.mark.parametrize("count", [0, 2])
def test_the_database_of_the_home_is_asked(home, count):
    with_automations(home, count)
    assert may_have_automations() is bool(count)


def test_a_new_home_has_none(home):
    assert not may_have_automations()
    assert not list(home.iterdir())


@pytest.mark.parametrize("name", DATABASES)
def test_another_database_may_have_some(home, monkeypatch, name):
    monkeypatch.setenv(name, "postgresql+asyncpg://prefect@db/prefect")
    assert may_have_automations()


def test_a_database_that_cannot_be_read_may_have_some(home):
    (home / "prefect.db").write_bytes(b"no database" * 100)
    assert may_have_automations()


def test_links_to_a_server_begin_where_prefect_says_that_browsers_reach_it(tmp_path):
    code = "from headrace.settings import Settings\n"
    code += "from headrace_ops.run_server import RunServer\n"
    code += "print(RunServer(Settings()).ui_url)"
    variables = {
        "HEADRACE_HOME": str(tmp_path),
        "PREFECT_API_URL": "http://prefect:4200/api",
        "PREFECT_UI_URL": "https://ml.example.org/prefect/",
    }
    command = [sys.executable, "-c", code]
    shown = subprocess.check_output(command, env={**os.environ, **variables}, text=True)
    assert shown == "https://ml.example.org/prefect\n"
