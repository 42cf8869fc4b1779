"""Processes of our modules have a niceness; forks have what they were given only."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.state import children


def printed(folder, **options):
    (folder / "some.py").write_text(
        "import os, sys, time\n"
        "sys.stdin.read()\n"
        "print(os.getpriority(os.PRIO_PROCESS, 0))\n"
    )
    child = children.start(
        "some",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])},
        **options,
    )
    return child.communicate()[0].decode()


def test_a_process_has_at_least_its_niceness(tmp_path):
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert printed(tmp_path) == f"{own}\n"
    assert printed(tmp_path, niceness=own + 1) == f"{own + 1}\n"
    assert printed(tmp_path, niceness=own - 1) == f"{own}\n"


FORK = """
import os, signal, subprocess, sys, time
from headrace.state import children
from headrace.state.children import can_fork

secret = os.open(__file__, os.O_RDONLY)
out = os.open(sys.argv[2], os.O_CREAT | os.O_RDWR)

def fork(work, **options):
    streams = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": out}
    return children.fork("a-name", work, **streams, **options)

"""


def forked(code, folder):
    """What a process prints that forks, and what its forks print."""
    script, out = folder / "script.py", folder / "out"
    script.write_text(FORK + code)
    command = [sys.executable, str(script), str(script), str(out)]
    ran = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=60
    )
    return ran.stdout.strip(), out.read_text().strip()


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


@linux_only
@pytest.mark.parametrize(
    ("work", "code"),
    [("print('said')", 0), ("sys.exit(3)", 3), ("sys.exit()", 0), ("1 / 0", 1)],
)
def test_a_fork_ends_with_the_code_of_its_work(
    work: str, code: int, tmp_path: Path
) -> None:
    told, said = forked(f"print(fork(lambda: {work}).wait(60))", tmp_path)
    assert told == str(code)
    assert said.rpartition("\n")[2] == {
        "print('said')": "said",
        "1 / 0": "ZeroDivisionError: division by zero",
    }.get(work, "")


@linux_only
def test_a_fork_has_its_name_its_session_and_no_other_descriptor(
    tmp_path: Path,
) -> None:
    code = (
        "def work():\n"
        "    name = open('/proc/self/comm').read().strip()\n"
        "    print(name, os.getsid(0) == os.getpid())\n"
        "    print(sorted(map(int, os.listdir('/proc/self/fd')))[:4])\n"
        "    for number in range(3, 64):\n"
        "        try: link = os.readlink(f'/proc/self/fd/{number}')\n"
        "        except OSError: continue\n"
        "        if 'script.py' in link: print('leaked')\n"
        "fork(work, start_new_session=True).wait(60)\n"
    )
    _, said = forked(code, tmp_path)
    assert said.splitlines() == ["a-name True", "[0, 1, 2, 3]"]


@linux_only
def test_a_fork_of_a_fork_writes_where_that_one_does(tmp_path: Path) -> None:
    code = (
        "def work():\n"
        "    print('outer')\n"
        "    sys.stdout.flush()\n"
        "    inner = children.fork('inner', lambda: print('inner'))\n"
        "    print(inner.wait(60))\n"
        "fork(work).wait(60)\n"
    )
    assert forked(code, tmp_path)[1].split() == ["outer", "inner", "0"]


@linux_only
def test_threads_that_wait_for_a_fork_all_get_its_code(tmp_path: Path) -> None:
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "short = fork(lambda: time.sleep(0.3) or sys.exit(3))\n"
        "with ThreadPoolExecutor(8) as threads:\n"
        "    waits = [threads.submit(short.wait, 60) for _ in range(8)]\n"
        "    print({wait.result() for wait in waits})\n"
    )
    assert forked(code, tmp_path)[0] == "{3}"


@linux_only
def test_a_fork_that_runs_on_can_be_ended(tmp_path: Path) -> None:
    code = (
        "signal.signal(signal.SIGTERM, lambda *_: None)\n"
        "for end in (subprocess.Popen.terminate, subprocess.Popen.kill):\n"
        "    running = fork(lambda: time.sleep(600))\n"
        "    try: running.wait(0.05)\n"
        "    except subprocess.TimeoutExpired: print(running.poll())\n"
        "    end(running)\n"
        "    print(running.wait(60), running.poll())\n"
        "    end(running)\n"
    )
    told, _ = forked(code, tmp_path)
    # A handler of the process is not one of its fork.
    assert told.split() == ["None", "-15", "-15", "None", "-9", "-9"]


@linux_only
def test_a_process_with_other_threads_is_not_forked(tmp_path: Path) -> None:
    code = (
        "import threading\n"
        "print(can_fork())\n"
        "threading.Thread(target=time.sleep, args=(1,), daemon=True).start()\n"
        "print(can_fork())\n"
    )
    assert forked(code, tmp_path)[0].split() == ["True", "False"]


@pytest.mark.parametrize(
    ("code", "messages", "told"),
    [
        (3, b"first\nlast\n", "ended with 3: last"),
        (1, b"", "ended with 1: no message"),
        (None, b"", "ended with None: no message"),
        (-9, b"", "was killed by signal 9, perhaps by the kernel for want of memory"),
        (-11, b"Fatal error\n", "was killed by signal 11: Fatal error"),
    ],
)
def test_how_a_process_ended_is_told(code, messages, told):
    assert children.ending(code, messages) == told
