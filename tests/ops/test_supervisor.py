"""What ends by itself is started again, and nothing outlives whoever keeps it."""

import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from tests.waiting import until

from headrace.errors import DependencyError
from headrace.settings import Settings
from headrace_ops import guard, live
from headrace_ops.servers import Service
from headrace_ops.supervisor import Supervisor, _servers, page_links

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
    """Watch in the background; what it raises is put into the list."""
    raised = []

    def look():
        try:
            supervisor.watch()
        except DependencyError as error:
            raised.append(error)

    threading.Thread(target=look, daemon=True).start()
    return raised


def test_a_killed_server_is_started_again(tmp_path, lock, monkeypatch):
    monkeypatch.setattr("headrace_ops.supervisor.PAUSES", (0.0, 0.0))
    server = Server(tmp_path, "one", STAYS)
    supervisor = Supervisor(lock)
    try:
        supervisor.start(server.service)
        watch(supervisor)
        os.kill(server.processes[0], signal.SIGKILL)
        until(lambda: len(server.processes) == 2)
        assert psutil.pid_exists(server.processes[1])
    finally:
        supervisor.stop()
    assert not psutil.pid_exists(server.processes[1])


def test_what_starts_is_said_with_its_address_and_once_more_when_it_is_there(
    tmp_path, lock, caplog
):
    caplog.set_level("INFO", "headrace")
    one, two = (Server(tmp_path, name, STAYS).service for name in ("one", "two"))
    supervisor = Supervisor(lock)
    try:
        supervisor.start(replace(one, link="http://127.0.0.1:4200"), two)
    finally:
        supervisor.stop()
    said = [record.getMessage() for record in caplog.records]
    assert "starting one at http://127.0.0.1:4200, two" in said
    there = [
        name
        for name, is_there, _ in (x.partition(" is there after ") for x in said)
        if is_there
    ]
    assert there == ["one", "two"]


@pytest.mark.system
def test_what_ends_again_and_again_is_given_up_with_its_last_words(
    tmp_path, lock, monkeypatch
):
    monkeypatch.setattr("headrace_ops.supervisor.PAUSES", (0.0, 0.0))
    full = tmp_path / "full"
    waits = f'exec("while not os.path.exists({str(full)!r}): time.sleep(.01)");'
    server = Server(tmp_path, "one", waits + "sys.exit('no room')")
    supervisor = Supervisor(lock)
    supervisor.start(server.service)
    full.touch()  # once it is known to have started
    raised = watch(supervisor)
    until(lambda: bool(raised))
    supervisor.stop()
    assert "one ended by itself 3 times: no room" in str(raised[0])
    assert len(server.processes) == 3


def test_a_server_that_does_not_start_is_told_with_its_last_words(tmp_path, lock):
    server = Server(tmp_path, "one", "")
    command = [sys.executable, "-c", "import sys; sys.exit('port taken')"]
    service = Service("one", command, {}, server.service.log, lambda: False)
    supervisor = Supervisor(lock)
    with pytest.raises(DependencyError, match="one did not start: port taken"):
        supervisor.start(service)
    supervisor.stop()


@pytest.mark.system
@pytest.mark.skipif(sys.platform != "linux", reason="others do not tell who waits")
@pytest.mark.parametrize(
    ("free_seconds", "limit", "needed"), [(600.0, 1.0, 0.2), (0.0, 4.0, 10.0)]
)
def test_a_server_without_a_processor_has_more_time_and_is_told_as_such(
    free_seconds, limit, needed, tmp_path, lock, monkeypatch
):
    """Its start takes some time of a processor, of which it gets a small part."""
    monkeypatch.setattr(live, "START_LIMIT_SECONDS", limit)
    monkeypatch.setattr(live, "STARVED_LIMIT_SECONDS", free_seconds)
    core = min(os.sched_getaffinity(0))
    own = f"import os,sys,time; os.sched_setaffinity(0, [{core}]);"
    spins = own + "\nwhile True: pass"
    takes = f"os.nice(5)\nwhile time.process_time() < {needed}: pass\n"
    starts = own + takes + WORKS + STAYS
    server = Server(tmp_path, "one", "")
    command = [sys.executable, "-c", starts, str(server.file)]
    service = replace(server.service, command=command)
    others = [  # in sessions of their own, which Linux may give equal shares
        subprocess.Popen([sys.executable, "-c", spins], start_new_session=True)
        for _ in range(6)
    ]
    supervisor = Supervisor(lock)
    try:
        if free_seconds:
            supervisor.start(service)
        else:
            with pytest.raises(DependencyError, match="for a processor, which others"):
                supervisor.start(service)
    finally:
        supervisor.stop()
        for other in others:
            other.kill()
            other.wait()


def test_what_was_started_last_ends_first(tmp_path, lock):
    order = tmp_path / "order"
    end = (
        "import signal; signal.signal(15, lambda *_: (time.sleep(.2), "
        f"open({str(order)!r},'a').write(sys.argv[1]+' '), sys.exit()));"
    )
    names = ("mlflow", "prefect", "cpu worker")
    supervisor = Supervisor(lock)
    for name in names:
        server = Server(tmp_path, name, "time.sleep(600)")
        code = end + WORKS + STAYS
        code = "import time,sys;" + code
        command = [sys.executable, "-c", code, str(server.file)]
        supervisor.start(
            Service(name, command, {}, server.service.log, server.service.ready)
        )
    supervisor.stop()
    ended = [Path(text).stem for text in order.read_text().split(".processes")[:-1]]
    assert [text.strip() for text in ended] == ["cpu worker", "prefect", "mlflow"]


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


def test_a_fork_that_ignores_the_end_of_its_block_is_killed(tmp_path):
    code = (
        "import os, signal, time; from headrace_ops import guard\n"
        "guard.GRACE_SECONDS = 0.2\n"
        "def work():\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "    os.write(2, b'at work')\n"
        "    time.sleep(600)\n"
        f"log = {str(tmp_path / 'log')!r}\n"
        "g = guard.fork('work', work, log)\n"
        "while g.poll() is None and not open(log).read(): time.sleep(0.01)\n"
        "guard.stop(g)\n"
        "print(g.poll())\n"
    )
    command = [sys.executable, "-c", code]
    ended = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=60
    )
    assert (ended.stdout.strip(), ended.stderr) == (str(-signal.SIGKILL), "")


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


def test_another_server_at_its_port_is_not_taken_for_it(tmp_path, lock, monkeypatch):
    monkeypatch.setattr(live, "START_LIMIT_SECONDS", 1.0)
    mute = Server(tmp_path, "mute", STAYS).service
    speaks = Server(
        tmp_path,
        "speaks",
        "import socket; s = socket.create_server(('127.0.0.1', int(sys.argv[2])));"
        + STAYS,
    ).service
    with socket.socket() as another:
        another.bind(("127.0.0.1", 0))
        port = another.getsockname()[1]
        another.listen()
        supervisor = Supervisor(lock)
        with pytest.raises(DependencyError, match="mute did not start"):
            supervisor.start(replace(mute, port=port))
        supervisor.stop()
    monkeypatch.setattr(live, "START_LIMIT_SECONDS", 120.0)
    supervisor = Supervisor(lock)
    command = [*speaks.command, str(port)]
    supervisor.start(replace(speaks, port=port, command=command))
    supervisor.stop()


def test_the_links_log_in_and_open_the_runs(tmp_path, monkeypatch):
    for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    settings = Settings(project=tmp_path, home=tmp_path / "home").prepare_home()
    links = dict.fromkeys(("prefect", "mlflow", "headrace"), "http://127.0.0.1:1")
    places = {
        n: link.partition("&")[2] for n, link in page_links(settings, links).items()
    }
    assert places == {
        **{"prefect": "next=/runs", "mlflow": "next=/headrace/runs"},
        "headrace": "",
    }


def test_a_usual_port_that_is_taken_is_told_with_who_has_it(
    tmp_path, monkeypatch, caplog
):
    for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as another:
        port = another.getsockname()[1]
        usual = {"prefect": 0, "mlflow": 0, "headrace": port}
        with caplog.at_level("INFO", logger="headrace"):
            links, _ = _servers(
                Settings(project=tmp_path, home=tmp_path), "127.0.0.1", usual
            )
    assert not links["headrace"].endswith(f":{port}")
    (told,) = caplog.messages
    assert told.startswith(f"port {port} is taken by ") and str(os.getpid()) in told
    assert told.endswith(f": headrace has port {links['headrace'].rpartition(':')[2]}")
