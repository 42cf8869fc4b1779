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
from headrace_ops import doctor
from headrace_ops.doctor import CHECKS, DoctorCheck, checks, examine
from headrace_ops.doctor.services import (
    PREFECT,
    check_artifacts,
    check_clock,
    check_door,
    check_prefect,
)


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
    assert {"versions", "bytecode", "system metrics", "telemetry"} <= set(names)
    assert not home.path.exists()
    text = home.headrace("doctor")
    assert len(text.out.splitlines()) == len(names), "one line each"


def test_what_packages_add_has_a_line_each(empty, extend):
    extend("models", "patches", "def build(data): ...")
    extend("gates", "ghost")
    good, bad = checks.check_extensions(empty)
    assert (good.name, good.state) == ("models patches", "ok")
    assert good.seen == "tidepool.patches of tidepool 0.1"
    assert (bad.name, bad.state) == ("gates ghost", "wrong")
    assert "there is no such module" in bad.seen


def test_a_pipeline_file_that_cannot_be_read_has_a_line(empty):
    folder = empty.project / "pipelines" / "torn"
    folder.mkdir(parents=True)
    (folder / "pipeline.toml").write_text("medium = ")
    (check,) = checks.check_pipelines(empty)
    assert (check.name, check.state) == ("pipeline torn", "wrong")
    assert "is not valid TOML" in check.seen
    assert check.fix == "Correct that line, or the one before it."


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
    ("server", "state"), [("", "ok"), ("3.6.1", "wrong"), ("3.999.1", "hint")]
)
def test_a_servers_version_is_compared(empty, pages, monkeypatch, server, state):
    a_prefect(pages, server)
    monkeypatch.setenv("PREFECT_API_URL", f"{pages.url}/api")
    check = of(check_prefect(empty), "prefect version")
    assert check.state == state
    assert (server in check.seen) and bool(check.fix) == (state != "ok")


def test_a_clock_that_is_off_is_wrong(empty, pages, monkeypatch):
    a_prefect(pages)
    monkeypatch.setenv("PREFECT_API_URL", f"{pages.url}/api")
    assert not [c for c in check_prefect(empty) if "clock" in c.name]
    pages.date = 7200
    check = of(check_prefect(empty), "prefect clock")
    assert check.state == "wrong"
    assert "ahead" in check.seen
    assert next(check_clock("ledger", time.time() - 100)).seen.startswith(
        "its clock is 100 s behind"
    )


def test_a_missing_password_is_told_from_a_right_one(empty, pages, monkeypatch):
    a_prefect(pages)
    pages["/api/admin/version"] = lambda headers: (
        "3.9.1" if headers.get("Authorization") == "Basic YTpi" else 401
    )
    monkeypatch.setenv("PREFECT_API_URL", f"{pages.url}/api")
    check = of(check_prefect(empty), "prefect")
    assert (check.state, "PREFECT_API_AUTH_STRING" in check.fix) == ("wrong", True)
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "a:b")
    assert of(check_prefect(empty), "prefect").state == "ok"


def test_several_workers_on_sqlite_are_a_hint(empty, pages, monkeypatch):
    a_prefect(pages)
    monkeypatch.setenv("PREFECT_API_URL", f"{pages.url}/api")
    assert of(check_prefect(empty), "workers").state == "ok"
    pages["/api/work_pools/cpu/workers/filter"] = [{"status": "ONLINE"}] * 2
    check = of(check_prefect(empty), "workers")
    assert (check.state, "SQLite" in check.seen) == ("hint", True)
    elsewhere = empty.model_copy(update={"database_url": "postgresql://db/headrace"})
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    assert of(check_prefect(elsewhere), "workers").state == "ok"
    pages["/api/work_pools/cpu/workers/filter"] = [{"status": "OFFLINE"}]
    assert of(check_prefect(empty), "workers").state == "hint"


def test_artifacts_that_cannot_be_written_are_wrong(tmp_path):
    here = "http://127.0.0.1:5000"
    assert not list(check_artifacts("mlflow-artifacts:/1", here))
    (check,) = check_artifacts(tmp_path.as_uri(), here)
    assert check.state == "ok"
    (check,) = check_artifacts(tmp_path.as_uri(), "http://mlflow:5000")
    assert check.state == "hint"
    blocked = tmp_path / "file"
    blocked.write_text("")
    root = f"{blocked.as_uri()}/mlartifacts"
    (check,) = check_artifacts(root, here)
    assert check.state == "wrong"


@pytest.mark.system
def test_a_damaged_or_locked_database_is_told(empty):
    empty.prepare_home()
    path = empty.home / "headrace.db"
    path.write_bytes(b"no database at all, surely" * 100)
    assert of(examine(empty), "ledger").state == "wrong"
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (x)")
    connection.execute("BEGIN EXCLUSIVE")
    assert of(examine(empty), "ledger").state == "unreachable"
    connection.rollback()
    connection.close()
    assert of(examine(empty), "ledger").state == "ok"


def test_telemetry_that_someone_turned_on_is_a_hint(empty, monkeypatch):
    assert checks.check_telemetry(empty).state == "ok"
    monkeypatch.setenv("GX_ANALYTICS_ENABLED", "True")
    check = checks.check_telemetry(empty)
    assert (check.name, check.state) == ("telemetry", "hint")
    assert check.fix == "unset GX_ANALYTICS_ENABLED"


def test_a_version_below_its_floor_is_wrong(empty, monkeypatch):
    assert [c.state for c in checks.check_versions(empty)] == ["ok"]
    monkeypatch.setitem(checks.FLOORS, "pillow", "999.2")
    (check,) = checks.check_versions(empty)
    assert (check.name, check.state) == ("pillow", "wrong")
    assert "pillow>=999.2" in check.fix
    assert checks.number("3.10.0rc1") > checks.number("3.9.12")


def test_what_hangs_counts_as_unreachable(empty, monkeypatch):
    monkeypatch.setitem(CHECKS, "store", lambda _: time.sleep(30))
    monkeypatch.setattr(doctor, "LIMIT_SECONDS", 0.5)
    check = of(examine(empty), "store")
    assert (check.state, check.seen) == ("unreachable", "no answer within 0.5 s")


def test_a_server_that_lets_everyone_in_is_wrong_where_others_reach_it():
    (check,) = check_door(PREFECT, "http://trainer.lab:4200", 200)
    assert (check.state, check.fix) == ("wrong", PREFECT.to_lock)
    assert not list(check_door(PREFECT, "http://trainer.lab:4200", 401))
    assert not list(check_door(PREFECT, "http://127.0.0.1:4200", 200))


def test_no_password_is_told():
    url = "postgresql://ada:canary@db/headrace"
    check = DoctorCheck(
        name="ledger", state="wrong", seen=f"{url}: gone", fix=f"Mend {url}."
    )
    assert "canary" not in check.model_dump_json()
    assert "ada:***@db" in check.seen
