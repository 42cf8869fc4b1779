"""What ends by itself is started again, and nothing outlives whoever keeps it."""

import contextlib
import os
import signal
import subprocess
import sys
import threading

import psutil
import pytest
from tests.waiting import until

from headrace.errors import DependencyError
from headrace.settings import Settings
from headrace_ops import guard
from headrace_ops.servers import Service
from headrace_ops.supervisor import Supervisor, page_links

WORKS = "import os,sys,time; open(sys.argv[1],'a').write(f'{os.getpid()} ');"


class Server:
    """A small server: its file has the number of each process that it was.

    The file is there before a number is in it, so a number is what makes it ready.
    """

    def __init__(self, folder, name, then):
        self.file = folder / f"{name}.processes"
        self.service = Service(
            name=name,
            command=[sys.executable, "-c", WORKS + then, str(self.file)],
            environment=dict(os.environ),
            log=folder / f"{name}.log",
            ready=lambda: bool(self.processes),
        )

    @property
    def processes(self):
        """All of its processes that have told their number, the last one last."""
        text = self.file.read_text() if self.file.exists() else ""
        return [int(number) for number in text.split(" ")[:-1]]


STAYS = "time.sleep(600)"


@pytest.fixture
def lock(tmp_path):
    with (tmp_path / "lock").open("wb") as file:
        yield file.fileno()


def watch(supervisor):
    with contextlib.suppress(DependencyError):  # it is stopped
        supervisor.watch()


def test_a_killed_server_is_started_again(tmp_path, lock, monkeypatch):
    monkeypatch.setattr("headrace_ops.supervisor.RESTART_AFTER_SECONDS", 0)
    server = Server(tmp_path, "one", STAYS)
    supervisor = Supervisor(lock)
    try:
        supervisor.start(server.service)
        threading.Thread(target=watch, args=[supervisor], daemon=True).start()
        os.kill(server.processes[0], signal.SIGKILL)
        until(lambda: len(server.processes) == 2)
        assert psutil.pid_exists(server.processes[1])
    finally:
        supervisor.stop()
    assert not psutil.pid_exists(server.processes[1])


def test_what_ends_soon_after_its_start_is_given_up_with_its_last_words(tmp_path, lock):
    full = tmp_path / "full"
    waits = f'exec("while not os.path.exists({str(full)!r}): time.sleep(.01)");'
    server = Server(tmp_path, "one", waits + "sys.exit('no room')")
    supervisor = Supervisor(lock)
    supervisor.start(server.service)
    full.touch()  # once it is known to have started
    with pytest.raises(DependencyError, match="one ended by itself: no room"):
        supervisor.watch()
    supervisor.stop()
    assert len(server.processes) == 1


def test_a_server_that_does_not_start_is_told_with_its_last_words(tmp_path, lock):
    server = Server(tmp_path, "one", "")
    command = [sys.executable, "-c", "import sys; sys.exit('port taken')"]
    service = Service("one", command, {}, server.service.log, lambda: False)
    supervisor = Supervisor(lock)
    with pytest.raises(DependencyError, match="one did not start: port taken"):
        supervisor.start(service)
    supervisor.stop()


COMMAND = "guard.start(sys.argv[1:], dict(os.environ), os.devnull)"
FORK = "guard.fork('work', lambda: os.execv(sys.argv[1], sys.argv[1:]), os.devnull)"


@pytest.mark.parametrize("guarded", [COMMAND, FORK], ids=["command", "fork"])
@pytest.mark.parametrize("victim", ["parent", "guard"])
def test_what_is_guarded_ends_when_its_parent_or_its_guard_is_killed(
    tmp_path, victim, guarded
):
    if sys.platform != "linux" and (victim == "guard" or guarded == FORK):
        pytest.skip("only Linux tells a process that its parent is gone")
    server = Server(tmp_path, "one", STAYS)
    code = (
        "import sys; from headrace_ops import guard; import os, time;"
        f"g = {guarded}; print(g.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, *server.service.command],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    guarding = int(parent.stdout.readline())
    until(lambda: bool(server.processes))
    os.kill(parent.pid if victim == "parent" else guarding, signal.SIGKILL)
    try:
        until(lambda: not _runs(server.processes[0]))
    finally:
        parent.kill()
        parent.wait()


def test_what_a_command_started_goes_with_it(tmp_path):
    inner = Server(tmp_path, "inner", STAYS)
    start = f"subprocess.Popen({inner.service.command!r})"
    waits = 'exec("while not (file.is_file() and file.read_text()): time.sleep(.01)")'
    code = (
        f"import pathlib, subprocess, sys, time; {start};"
        f"file = pathlib.Path({str(inner.file)!r}); {waits}"
    )
    guarded = guard.start([sys.executable, "-c", code], {}, os.devnull)
    assert guarded.wait(timeout=600) == 0
    assert len(inner.processes) == 1
    until(lambda: not _runs(inner.processes[0]))
    guard.stop(guarded)


def _runs(process):
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_links_log_in_and_open_the_runs(tmp_path, monkeypatch):
    for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    settings = Settings(project=tmp_path, home=tmp_path / "home").prepare_home()
    links = dict.fromkeys(("prefect", "mlflow", "headrace"), "http://127.0.0.1:1")
    places = {
        n: link.partition("&")[2] for n, link in page_links(settings, links).items()
    }
    assert places == {"prefect": "next=/runs", "mlflow": "", "headrace": ""}
