"""Commands while `headrace up` runs: forked from a process that has imported all."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tests.waiting import until

from headrace_cli.prefork.circumstances import socket_at

pytestmark = pytest.mark.integration

LONG = ("--set", "training.epochs=10000", "--set", "gates=[]")
QUICK = ("--set", "training.epochs=1", "--set", "gates=[]")
SERVER = "headrace_cli.prefork.server"


@pytest.fixture(scope="module")
def running(project, new_home, start_up, take_down, tmp_path_factory):
    """A home with its servers; PYTHONPATH has a folder that tests write into."""
    code = str(tmp_path_factory.mktemp("code"))
    started = start_up(new_home(), project, "--no-workers", PYTHONPATH=code)
    yield started
    if started.process.poll() is None:
        take_down(started)


def server_of(services):
    guards = psutil.Process(services.process.pid).children()
    (guard,) = (guard for guard in guards if SERVER in guard.cmdline())
    (server,) = guard.children()
    return server


def fork_of(services):
    """The process that runs the command which was started last."""
    forks = until(server_of(services).children)
    return max(forks, key=lambda fork: fork.create_time())


def log_of(services):
    text = (services.home / "prefork.log").read_text()
    return text


def line_of(process, part):
    """Read standard error up to a line."""
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if part in line:
            return line
    pytest.fail("".join(seen))


def test_a_run_is_forked_and_gives_its_answer(running):
    process = running.start("run", "blobs", *QUICK, "--json")
    fork = fork_of(running)
    assert fork.username() == psutil.Process().username()
    out, err = process.communicate(timeout=240)
    answer = json.loads(out)
    assert (process.returncode, answer["status"]) == (0, "registered"), err
    assert "epoch 1/1" in err
    assert answer["links"]["prefect"].startswith(running.links["prefect"])
    assert not fork.is_running()


def test_its_exit_codes_are_those_of_the_command(running):
    code, answer = running.headrace("run", "blobs", "--set", "gates.accuracy.min=2")
    assert (code, answer["status"]) == (2, "error")
    code, answer = running.headrace("run", "blobs", "--data", "missing.parquet")
    assert (code, answer["status"]) == (2, "error")
    assert "missing.parquet" in answer["reason"]
    process = running.start("run", "nothing", "--no-such-option")
    assert "--no-such-option" in process.communicate(timeout=60)[1]
    assert process.returncode == 2


def test_ctrl_c_ends_it_with_a_checkpoint(running):
    process = running.start("run", "blobs", *LONG)
    line_of(process, "epoch 1/10000")
    fork = fork_of(running)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "a next run goes on at epoch" in err
    assert not fork.is_running()


def test_it_is_killed_with_its_command(running):
    process = running.start("run", "blobs", *LONG)
    line_of(process, "train: ")
    fork = fork_of(running)
    below = [fork, *fork.children(recursive=True)]
    process.kill()
    process.communicate()
    assert psutil.wait_procs(below, timeout=30)[1] == []


def test_a_command_whose_fork_was_killed_says_so(running):
    process = running.start("run", "blobs", *LONG)
    line_of(process, "train: ")
    fork_of(running).kill()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL


def test_a_command_in_other_circumstances_runs_by_itself(running):
    process = running.start("run", "blobs", *LONG, OMP_NUM_THREADS="1")
    line_of(process, "train: ")
    assert server_of(running).children() == []
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "run blobs runs by itself: other OMP_NUM_THREADS" in log_of(running)


@pytest.mark.parametrize("words", [b"{}", b"no JSON", b'{"circumstances": 1}'])
def test_what_is_no_request_is_closed(running, words):
    before = server_of(running)
    with socket_at(running.home) as (connection, address):
        connection.connect(address)
        connection.send(words)
        assert connection.recv(1) == b""
    code, _ = running.headrace("check", "blobs")
    assert (code, server_of(running)) == (0, before)


def test_it_has_the_variables_and_the_folder_of_its_command(running, tmp_path):
    (tmp_path / "here").mkdir()
    code = (
        "import os, sys; os.chdir('here'); os.umask(0o027)\n"
        "from headrace_cli.start import main; sys.argv[1:] = ['check', 'x']; main()"
    )
    variables = {**os.environ, **running.variables, "HEADRACE_HOME": str(running.home)}
    del running
    answer = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=variables | {"HEADRACE_PROJECT": "."},
        capture_output=True,
        check=False,
        text=True,
    )
    assert answer.returncode == 2
    assert "There is no pipeline 'x'" in answer.stderr


def test_changed_code_is_imported_anew(running):
    server = server_of(running)
    before = server.memory_info().rss
    assert before > 200e6
    Path(running.variables["PYTHONPATH"], "new.py").touch()
    code, _ = running.headrace("check", "blobs", timeout=60)
    assert code == 0
    until(lambda: server.memory_info().rss < before / 2)  # it has begun again
    until(lambda: server.memory_info().rss > before * 0.9)

    def is_forked():
        process = running.start("run", "blobs", *LONG)
        line_of(process, "train: ")
        has_fork = bool(server.children())
        process.kill()
        process.communicate()
        return has_fork

    until(is_forked)


def test_a_run_goes_on_when_the_servers_end(running):
    process = running.start("run", "blobs", *LONG)
    line_of(process, "train: ")
    fork = fork_of(running)
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(timeout=60) == 0
    assert fork.is_running()
    process.kill()
    process.communicate()
    fork.wait(30)
