"""Runs that are interrupted or killed leave nothing that still runs."""

import signal
import threading
import time

import psutil
import pytest
from tests.homes import values_of

LONG = ("run", "blobs", "--json", "--set", "training.epochs=10000")


class Watched:
    """A process whose standard error is read as it comes."""

    def __init__(self, process):
        self.process = process
        self.lines = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        assert self.process.stderr is not None
        self.lines.extend(iter(self.process.stderr.readline, ""))

    def wait_for(self, text, seconds=600):
        """Wait until it says something."""
        limit = time.monotonic() + seconds
        while not any(text in line for line in self.lines):
            assert self.process.poll() is None, "".join(self.lines)
            assert time.monotonic() < limit, "".join(self.lines)
            time.sleep(0.05)


@pytest.fixture
def started(home, mlflow_database):
    """A long run in a process of its own, with a temporary server."""
    home.path.mkdir()
    (home.path / "mlflow.db").write_bytes(mlflow_database.read_bytes())
    watched = Watched(home.start(*LONG))
    yield watched
    watched.process.kill()
    watched.process.wait()


def wait_until_gone(processes):
    """Those that are still there after a while."""
    _, alive = psutil.wait_procs(processes, timeout=600)
    return list(alive)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_during_training_cancels_everywhere(home, started, number):
    started.wait_for("epoch 1/10000")
    children = psutil.Process(started.process.pid).children(recursive=True)
    started.process.send_signal(number)
    out = started.process.stdout.read() if started.process.stdout else ""
    assert started.process.wait(timeout=600) == 130, "".join(started.lines)
    assert out.count("\n") == 1
    assert '"status": "cancelled"' in out
    assert "Traceback" not in "".join(started.lines)
    assert values_of(home.path / "mlflow.db", "SELECT status FROM runs") == ["KILLED"]
    server = home.path / "prefect" / "prefect.db"
    assert values_of(server, "SELECT state_type FROM flow_run") == ["CANCELLED"]
    assert "RUNNING" not in values_of(server, "SELECT state_type FROM task_run")
    assert [c.cmdline() for c in wait_until_gone(children)] == []
    leases = values_of(home.path / "headrace.db", "SELECT state FROM leases")
    assert leases == ["lost"], "given back, and to be looked at"
    # What was done is not done again.
    again = home.headrace("check", "blobs", "--data", "default", "--json").json
    assert {stage["state"] for stage in again["stages"][:2]} == {"cached"}


def test_a_killed_run_leaves_no_server(started):
    started.wait_for("ingest: first run")
    children = psutil.Process(started.process.pid).children(recursive=True)
    servers = [
        child
        for child in children
        if child.name() == "prefect-server" or "uvicorn" in " ".join(child.cmdline())
    ]
    assert len(servers) == 1, "ours, and not one of Prefect's own beside it"
    started.process.kill()
    assert [c.cmdline() for c in wait_until_gone(children)] == []
