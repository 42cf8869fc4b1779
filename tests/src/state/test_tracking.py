"""The door to MLflow: what fails is told, and homes do not mix."""

import os
import signal
import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from mlflow.exceptions import MlflowException

from headrace.errors import (
    DependencyError,
    IntegrityError,
    NotFoundError,
)
from headrace.pipeline.files import flatten
from headrace.settings import Settings
from headrace.state import interrupts
from headrace.state.logins import Login
from headrace.state.processes import this_process
from headrace.state.tracking import Tracking
from headrace.state.tracking.connection import tracking_errors

Trained = Any


def test_a_second_home_does_not_follow_the_first(settings, tmp_path):
    _ = Tracking(settings).client
    other = Settings(project=settings.project, home=tmp_path / "other")
    assert other.tracking_uri == f"sqlite:///{tmp_path}/other/mlflow.db"
    assert "MLFLOW_TRACKING_URI" not in os.environ


def artifact_roots(database):
    """The folders of all experiments with artifacts of their own."""
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT artifact_location FROM experiments")
        return {str(place).rpartition("/")[0] for (place,) in rows if "file:" in place}


def test_artifacts_keep_the_name_of_their_home_until_it_has_moved(settings, tmp_path):
    """Two processes that know one home by two names would change each other's URIs."""
    home, link, moved = settings.home, tmp_path / "link", tmp_path / "moved"
    Tracking(settings).experiment("blobs")
    first = artifact_roots(home / "mlflow.db")
    assert first == {settings.artifacts}
    link.symlink_to(home)
    alias = Settings(project=settings.project, home=link)
    _ = Tracking(alias).client
    assert artifact_roots(home / "mlflow.db") == first
    Tracking(alias).experiment("others")  # by the other name
    assert artifact_roots(home / "mlflow.db") == first
    home.rename(moved)
    link.unlink()
    now = Settings(project=settings.project, home=moved)
    _ = Tracking(now).client
    assert artifact_roots(moved / "mlflow.db") == {now.artifacts}


def test_an_address_that_was_given_stays(settings, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{settings.home}/mlflow.db")
    _ = Tracking(settings).client
    assert os.environ["MLFLOW_TRACKING_URI"] == f"sqlite:///{settings.home}/mlflow.db"


def test_an_experiment_is_made_once_and_keeps_its_files_in_the_home(settings):
    tracking = Tracking(settings)
    first = tracking.experiment("blobs")
    assert tracking.experiment("blobs") == first
    location = tracking.client.get_experiment(first).artifact_location
    assert location == (settings.home / "mlartifacts" / "blobs").as_uri()


@pytest.mark.system
@pytest.mark.parametrize(
    ("error", "status"),
    [(None, "FINISHED"), (ValueError("x"), "FAILED"), (KeyboardInterrupt(), "KILLED")],
)
def test_a_run_ends_with_its_block(settings, error, status):
    tracking = Tracking(settings)
    ids = []
    try:
        with tracking.run("blobs", "a run", {"colour": "blue"}) as (run_id, _):
            ids.append(run_id)
            if error is not None:
                raise error
    except (ValueError, KeyboardInterrupt) as raised:
        assert raised is error
    run = tracking.client.get_run(ids[0])
    assert run.info.status == status
    assert run.data.tags["colour"] == "blue"


@pytest.mark.system
@pytest.mark.parametrize(
    ("changes", "status"),
    [
        pytest.param({"pid": 2**22 + 1}, "KILLED", id="killed"),
        pytest.param({}, "RUNNING", id="alive"),
        pytest.param({"host": "elsewhere"}, "RUNNING", id="elsewhere"),
    ],
)
@pytest.mark.parametrize("tag", ["mlflow.headrace.process", "headrace.process"])
def test_the_next_run_ends_one_whose_process_was_killed(settings, changes, status, tag):
    tracking = Tracking(settings)
    process = str(this_process()._replace(**changes))
    experiment = tracking.experiment("blobs")
    tags = {tag: process}
    orphan = tracking.client.create_run(experiment, tags=tags).info.run_id
    with tracking.run("blobs", "the next", {}):
        assert tracking.client.get_run(orphan).info.status == status


def test_a_run_that_has_ended_by_itself_was_not_killed(settings):
    """It was found to be running a moment before its process was found to be gone."""
    tracking = Tracking(settings)
    with tracking.run("blobs", "a run", {}) as (run_id, _):
        pass
    tracking.end(run_id)
    assert tracking.client.get_run(run_id).info.status == "FINISHED"


@pytest.mark.system
def test_a_run_measures_its_machine(settings):
    tracking = Tracking(settings)
    with tracking.run("blobs", "a run", {}) as (run_id, _):
        deadline = time.monotonic() + 600
        found = {}
        while not found and time.monotonic() < deadline:
            time.sleep(0.1)
            found = tracking.client.get_run(run_id).data.metrics
    assert "system/cpu_utilization_percentage" in found
    assert "system/system_memory_usage_megabytes" in found


@pytest.mark.system
def test_a_server_that_does_not_answer_is_told_soon(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    tracking = Tracking(Settings(project=tmp_path))
    with pytest.raises(
        DependencyError, match=r"MLflow at http://127\.0\.0\.1:9 failed.*reachable"
    ):
        tracking.experiment("blobs")
    # MLflow by itself would try for minutes.
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "2"


@contextmanager
def mlflow_server(seen):
    """A server of MLflow without experiments: its port. It notes who asks."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            seen.append(self.headers.get("Authorization", ""))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_GET = do_POST

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_each_server_gets_its_own_login_and_the_environment_none(tmp_path, monkeypatch):
    for name in ("USERNAME", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    first, second, third = list[str](), list[str](), list[str]()
    with (
        mlflow_server(first) as one,
        mlflow_server(second) as two,
        mlflow_server(third) as three,
    ):
        places = f"ada:p%401@127.0.0.1:{one}", f"bob:2@127.0.0.1:{two}"
        clients = []
        for place in (*places, f"127.0.0.1:{three}"):
            monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{place}")
            clients.append(Tracking(Settings(project=tmp_path)).client)
        for client in (*clients, clients[0]):
            client.search_experiments()
    assert set(first) == {Login("ada", "p@1").header}
    assert set(second) == {Login("bob", "2").header}
    assert set(third) == {""}
    assert "MLFLOW_TRACKING_PASSWORD" not in os.environ


def test_a_locked_database_is_told(settings):
    """MLflow waits 20 s for a lock, then this comes; the test does not wait."""
    place = settings.home / "mlflow.db"
    engine = sqlalchemy.create_engine(f"sqlite:///{place}?timeout=0.1")
    holder = sqlite3.connect(place, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        with (
            pytest.raises(
                DependencyError, match=r"failed: database is locked.*not locked"
            ),
            tracking_errors("sqlite:///mlflow.db"),
            engine.connect() as connection,
        ):
            connection.exec_driver_sql("DELETE FROM runs")
        with (
            pytest.raises(DependencyError, match="failed: database is locked"),
            tracking_errors("sqlite:///mlflow.db"),
        ):
            raise MlflowException(
                "(sqlite3.OperationalError) database is locked\n[SQL: DELETE FROM runs]"
            )
    finally:
        holder.close()
        engine.dispose()


def test_a_database_that_is_none_is_told(tmp_path):
    settings = Settings(project=tmp_path, home=tmp_path)
    (tmp_path / "mlflow.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(DependencyError, match=r"not a database.*from a backup"):
        _ = Tracking(settings).client


def test_a_database_of_an_older_mlflow_is_told(settings):
    with sqlite3.connect(settings.home / "mlflow.db") as database:
        database.execute("UPDATE alembic_version SET version_num = 'bd07f7e963c5'")
    database.close()
    with pytest.raises(
        DependencyError, match=r"made by an older MLflow.*mlflow db upgrade"
    ):
        Tracking(settings).experiment("blobs")


def test_a_model_file_that_was_changed_is_refused(trained):
    tracking = Tracking(trained.settings)
    uri, digest = trained.good.model_uri, trained.good.model_digest
    changed = "0" * 64
    with (
        pytest.raises(IntegrityError, match=r"but 0000000000000000... was logged"),
        tracking.model_file(uri, changed),
    ):
        raise AssertionError
    with tracking.model_file(uri, digest) as file:
        kept = file
    assert not kept.exists()


def test_a_model_that_is_gone_is_told(trained):
    tracking = Tracking(trained.settings)
    with (
        pytest.raises(IntegrityError, match="no longer in MLflow's artifact store"),
        tracking.model_file("models:/m-" + "0" * 32, "0" * 64),
    ):
        raise AssertionError


def test_the_files_of_a_folder_are_read_at_once(trained):
    tracking, run_id = Tracking(trained.settings), trained.weak.run_id
    place = Path(tracking.run_place(run_id).removeprefix("file://")) / "golden"
    (place / "below").mkdir()
    (place / "note.txt").write_text("seven")

    files = tracking.run_files(run_id, "golden")

    assert sorted(files) == ["golden.npz", "note.txt"]
    assert files["note.txt"] == b"seven"
    assert tracking.run_files(run_id, "none") == {}
    assert tracking.run_files(run_id, "golden/note.txt") == {}
    with pytest.raises(NotFoundError):
        tracking.run_files("0" * 32, "golden")


def test_a_version_is_made_once_however_often_asked(trained):
    tracking = Tracking(trained.settings)
    ask = ("blobs", trained.good.model_uri, trained.good.run_id, {"colour": "blue"})
    first = tracking.create_version(*ask, "the card")
    assert tracking.create_version(*ask, "the card") == first == 2
    made = tracking.client.get_model_version("blobs", "2")
    assert made.description == "the card"
    assert made.tags["colour"] == "blue"


def test_aliases_are_put_where_they_belong(trained):
    tracking = Tracking(trained.settings)
    tracking.project_aliases("blobs", {"champion": None, "challenger": 1})
    assert tracking.client.get_registered_model("blobs").aliases == {"challenger": 1}
    tracking.project_aliases("blobs", {"champion": 1, "challenger": None})
    assert tracking.client.get_registered_model("blobs").aliases == {"champion": 1}


def test_names_that_mlflow_would_refuse_are_made_plain(settings):
    tracking = Tracking(settings)
    with tracking.run("blobs", "a run", {}) as (run_id, _):
        tracking.log_metrics(run_id, {"class/C++/recall": 1.0})
        tracking.log_tags(run_id, {"gate.a (b)": "passed"})
        tracking.log_params(run_id, {"contract": [{"expectation": "x"}] * 2})
    data = tracking.client.get_run(run_id).data
    assert data.metrics["class/C__/recall"] == 1
    assert data.tags["gate.a _b_"] == "passed"
    assert data.params == {"contract.0.expectation": "x", "contract.1.expectation": "x"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_waits_until_mlflow_has_answered(number, monkeypatch):
    done = []
    monkeypatch.setattr(interrupts, "DOUBLED_SECONDS", 0.0)  # of SIGTERM alone
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    for each in before:
        signal.signal(each, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), tracking_errors("sqlite:///x"):
            signal.raise_signal(number)
            done.append("wrote all")
        assert done == ["wrote all"]
        with pytest.raises(KeyboardInterrupt), tracking_errors("sqlite:///x"):
            signal.raise_signal(number)
            signal.raise_signal(number)
            done.append("not reached")
        assert done == ["wrote all"]
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def test_lists_of_rows_are_parameters_of_their_own_and_others_are_one():
    rows = [{"name": "size", "threshold": 3}, {"expectation": "x"}]
    assert dict(flatten({"gates": rows})) == {
        "gates.size.threshold": "3",
        "gates.1.expectation": "x",
    }
    names = ["own:Stop", {"name": "LearningRateScheduler", "schedule": "own:rate"}]
    assert dict(flatten({"callbacks": names})) == {"callbacks": str(names)}
