"""The database that Prefect's server finds in a new home."""

import sqlite3
from contextlib import closing

import pytest

from headrace_ops import prefect_server


def tables(path):
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT name FROM sqlite_master")
        return {str(name) for (name,) in found}


@pytest.fixture(autouse=True)
def without_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.system
@pytest.mark.parametrize("name", ["SERVER", "API"])
def test_only_the_new_database_is_migrated_whatever_is_configured(
    name, tmp_path, monkeypatch
):
    """A configured database may be that of production."""
    other = tmp_path / "other.db"
    variable = f"PREFECT_{name}_DATABASE_CONNECTION_URL"
    monkeypatch.setenv(variable, f"sqlite+aiosqlite:///{other}")
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    prefect_server._create_own_database()
    assert not (tmp_path / "prefect").exists()
    prefect_server.create_database(tmp_path / "prefect.db")
    assert "flow_run" in tables(tmp_path / "prefect.db")
    assert not other.exists()
    assert not list(tmp_path.glob("prefect.db-*"))
