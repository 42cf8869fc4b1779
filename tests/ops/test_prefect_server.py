"""The database that Prefect's server finds in a new home, and the pages beside it."""

import asyncio
import sqlite3
from contextlib import closing

import pytest

from headrace.settings import Settings
from headrace_ops import live, prefect_server


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


async def other(scope, receive, send):
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b"other"})


def visit(settings, path, host="127.0.0.1:4200", method="GET"):
    """The status of an answer, and where it sends the visit."""
    sent = []

    async def send(message):
        sent.append(message)

    headers = [(b"host", host.encode())]
    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    asyncio.run(prefect_server.WithReports(other, settings)(scope, None, send))
    target = dict(sent[0]["headers"]).get(b"location", b"")
    return sent[0]["status"], target.decode()


@pytest.mark.parametrize(
    ("server", "host", "target"),
    [
        ("http://127.0.0.1:5001", "127.0.0.1:4200", "http://127.0.0.1:5001"),
        ("http://127.0.0.1:5001", "lab:4200", "http://lab:5001"),
        ("http://127.0.0.1:5001", "[::1]:4200", "http://[::1]:5001"),
        ("https://mlflow.lab/x", "lab:4200", "https://mlflow.lab/x"),
    ],
)
def test_a_report_without_a_host_is_found_on_the_server_of_pages(
    server, host, target, tmp_path
):
    settings = Settings(project=tmp_path, home=tmp_path)
    page = live.report_path("0" * 32)
    assert visit(settings, page, host) == (299, ""), "there is no server"
    with live.only_one(settings):
        live.write_links(settings, {"headrace": server}, ())
        assert visit(settings, page, host) == (303, target + page)
        assert visit(settings, "/runs") == (299, "")
        assert visit(settings, page, method="POST") == (299, "")
