"""A process is known by what no other has: its host, its id there and its start."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from headrace.state import processes
from headrace.state.processes import Process, listening_at, this_process


@pytest.fixture
def sleeper():
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def of(process):
    """Another process, as it would write itself down."""
    from headrace.state.processes import _look_up

    return Process(this_process().host, process.pid, _look_up(process.pid)[0])


def wait_for(process, condition):
    limit = time.monotonic() + 600
    while process.condition != condition:
        assert time.monotonic() < limit, process.condition
        time.sleep(0.01)


def test_a_process_comes_back_from_its_text():
    assert Process.parse(str(this_process())) == this_process()
    assert Process.parse("a/b#c/12/start") == Process("a/b#c", 12, "start")
    assert Process.parse("12/3") is None
    assert Process.parse("") is None


def test_the_condition_of_a_process_follows_it(sleeper):
    process = of(sleeper)
    assert this_process().condition == "running"
    assert process.condition == "running"
    sleeper.send_signal(signal.SIGSTOP)
    wait_for(process, "stopped")
    sleeper.send_signal(signal.SIGCONT)
    wait_for(process, "running")
    sleeper.kill()
    wait_for(process, "gone")  # though nobody has asked for its exit code yet


def test_another_process_with_the_same_id_is_not_it():
    earlier = this_process()._replace(started="an earlier boot-17")
    assert earlier.condition == "gone"


def test_a_machine_of_the_same_name_is_another_host(monkeypatch):
    def named(machine):
        monkeypatch.setattr(processes.Path, "read_bytes", lambda _: machine)
        return processes.this_host.__wrapped__()

    one, other, nameless = named(b"one\n"), named(b"other\n"), named(b"")
    assert len({one, other, nameless}) == 3
    assert {h.partition("#")[0] for h in (one, other, nameless)} == {
        socket.gethostname()
    }
    assert "one" not in one.partition("#")[2], "a machine's id is nobody's business"


def test_nothing_is_known_of_another_host():
    assert this_process()._replace(host="elsewhere").condition == "unknown"


def test_who_listens_at_a_port_is_named_and_our_own_commands_by_their_words(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert f"(process {os.getpid()})" in listening_at(port)
    assert listening_at(port) == "another program"
    code = "import socket, sys; s = socket.create_server(('127.0.0.1', 0));"
    code += "print(s.getsockname()[1], flush=True); sys.stdin.read()"
    script = tmp_path / "headrace"
    script.write_text(code)
    command = [sys.executable, str(script), "serve", "digits"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=tmp_path, **pipes) as ours:
        port = int(ours.stdout.readline())
        words = f"`headrace serve` in {tmp_path} (process {ours.pid})"
        assert listening_at(port) == words
        ours.stdin.close()
