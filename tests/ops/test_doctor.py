"""The doctor says what is configured, what answers, what does not fit, and the fix."""

from __future__ import annotations

import email.utils
import json
import sqlite3
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from typing import Any

import pytest

from headrace.settings import Settings
from headrace_ops.doctor import DoctorCheck, check_prefect, examine


@pytest.fixture
def empty(tmp_path):
    return Settings(project=tmp_path, home=tmp_path / "home")


def of(checks, name):
    checks = list(checks)
    found = [check for check in checks if check.name == name]
    assert len(found) == 1, checks
    return found[0]


class Pages(dict[str, Any]):
    """What a made server answers: by path a JSON value, or a status to refuse with."""

    url: str
    date: float = 0.0


@pytest.fixture
def pages():
    """An HTTP server that is told what to say."""
    told = Pages()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            said = told.get(self.path, 404)
            if callable(said):
                said = said(self.headers)
            is_status = isinstance(said, int) and not isinstance(said, bool)
            body = b"" if is_status else json.dumps(said).encode()
            self.send_response(said if is_status else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def date_time_string(self, timestamp=None):
            return email.utils.formatdate(time.time() + told.date, usegmt=True)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield told
    server.shutdown()
    server.server_close()


def a_prefect(pages, version=""):
    pages["/api/health"] = True
    pages["/api/admin/version"] = version or metadata.version("prefect")
    pages["/api/work_pools/filter"] = [{"name": "cpu"}]
    pages["/api/work_pools/cpu/workers/filter"] = [{"status": "ONLINE"}]


def test_an_empty_home_is_well_soon_and_stays_empty(home, monkeypatch):
    answer = home.headrace("doctor", "--json")
    assert answer.exit_code == 0, answer.out
    names = [check["name"] for check in answer.json["checks"]]
    assert names[:5] == ["home", "store", "ledger", "mlflow", "prefect"]
    assert names[5:] == ["versions"]
    assert not home.path.exists()
    text = home.headrace("doctor")
    assert len(text.out.splitlines()) == len(names), "one line each"


def test_what_is_configured_and_does_not_answer_is_exit_3(home, monkeypatch):
    nobody = "http://127.0.0.1:9"
    monkeypatch.setenv("PREFECT_API_URL", f"{nobody}/api")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", nobody)
    monkeypatch.setenv(
        "HEADRACE_DATABASE_URL", "postgresql://ada:canary@127.0.0.1:9/headrace"
    )
    answer = home.headrace("doctor", "--json")
    assert answer.exit_code == 3
    states = {check["name"]: check["state"] for check in answer.json["checks"]}
    assert (states["prefect"], states["mlflow"]) == ("unreachable", "unreachable")
    assert states["ledger"] == "unreachable"
    assert all(c["fix"] for c in answer.json["checks"] if c["state"] != "ok")
    assert "canary" not in answer.out


def test_what_is_configured_wrongly_is_exit_2(home, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "file:///mlruns")
    answer = home.headrace("doctor", "--json")
    assert answer.exit_code == 2
    mlflow = next(c for c in answer.json["checks"] if c["name"] == "mlflow")
    assert "MLFLOW_TRACKING_URI" in mlflow["fix"]


@pytest.mark.parametrize(
    ("server", "state"), [("", "ok"), ("2.20.1", "wrong"), ("3.999.1", "hint")]
)
def test_a_servers_version_is_compared(empty, pages, monkeypatch, server, state):
    a_prefect(pages, server)
    monkeypatch.setenv("PREFECT_API_URL", f"{pages.url}/api")
    check = of(check_prefect(empty), "prefect version")
    assert check.state == state
    assert (server in check.seen) and bool(check.fix) == (state != "ok")


def test_a_missing_password_is_told_from_a_right_one(empty, pages, monkeypatch):
    a_prefect(pages)
    pages["/api/admin/version"] = lambda headers: (
        "3.9.1" if headers.get("Authorization") == "Basic YTpi" else 401
    )
    monkeypatch.setenv("PREFECT_API_URL", f"{pages.url}/api")
    check = of(examine(empty), "prefect")
    assert (check.state, "PREFECT_API_AUTH_STRING" in check.fix) == ("wrong", True)
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "a:b")
    assert of(check_prefect(empty), "prefect").state == "ok"


def test_no_password_is_told():
    url = "postgresql://ada:canary@db/headrace"
    check = DoctorCheck(
        name="ledger", state="wrong", seen=f"{url}: gone", fix=f"Mend {url}."
    )
    assert "canary" not in check.model_dump_json()
    assert "ada:***@db" in check.seen


def test_workers_are_counted_by_pool(empty, pages, monkeypatch):
    a_prefect(pages)
    monkeypatch.setenv("PREFECT_API_URL", f"{pages.url}/api")
    check = of(check_prefect(empty), "workers")
    assert (check.state, check.seen) == ("ok", "cpu: 1")
    pages["/api/work_pools/cpu/workers/filter"] = [{"status": "OFFLINE"}]
    assert of(check_prefect(empty), "workers").state == "hint"


@pytest.mark.system
def test_a_damaged_or_locked_database_is_told(empty):
    empty.prepare_home()
    path = empty.home / "headrace.db"
    path.write_bytes(b"no database at all, surely" * 100)
    check = of(examine(empty), "ledger")
    assert (check.state, "not a database" in check.seen) == ("unreachable", True)
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (x)")
    connection.execute("BEGIN EXCLUSIVE")
    assert of(examine(empty), "ledger").state == "unreachable"
    connection.rollback()
    connection.close()
    assert of(examine(empty), "ledger").state == "ok"
