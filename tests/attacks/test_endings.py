"""Attack: a run is ended from outside: what does it leave, and what says it runs?"""

import fcntl
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
import tomllib
from pathlib import Path

import pytest
from tests.homes import rows_of

from headrace.settings import Settings
from headrace.state.processes import this_process
from headrace.state.temporary import sweep_temporary

ROOT = Path(__file__).parents[2]
SECONDS = 240.0


@pytest.fixture
def prepared(home, mlflow_database):
    """An empty home whose MLflow database is made."""
    Settings(project=home.project, home=home.path).prepare_home()
    (home.path / "mlflow.db").write_bytes(mlflow_database.read_bytes())
    return home


def wait_for(condition, what):
    limit = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < limit, what
        time.sleep(0.05)


class Terminal:
    """A process in the foreground of a terminal of its own."""

    def __init__(self, home, *arguments):
        self.master, slave = pty.openpty()
        self.seen = ""

        def take_the_terminal():
            signal.signal(signal.SIGHUP, signal.SIG_DFL)  # not as under nohup
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        inherited = {
            k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "headrace_cli", *arguments],
            env={**inherited, **home.environment, "TERM": "xterm"},
            cwd=home.project,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            preexec_fn=take_the_terminal,  # noqa: PLW1509
        )
        os.close(slave)

    def shows(self, text):
        assert self.process.poll() is None, self.seen
        if select.select([self.master], [], [], 0.1)[0]:
            self.seen += os.read(self.master, 65536).decode(errors="replace")
        return text in self.seen

    def close(self):
        """The window is closed: the kernel hangs up."""
        os.close(self.master)


def test_a_closed_terminal_leaves_nothing_that_still_runs(prepared):
    terminal = Terminal(prepared, "run", "blobs", "--set", "training.epochs=10000")
    try:
        wait_for(lambda: terminal.shows("epoch 1/10000"), "the first epoch")
        terminal.close()
        assert terminal.process.wait(timeout=SECONDS) == 130
    finally:
        terminal.process.kill()
        terminal.process.wait()
    statuses = rows_of(prepared.path / "mlflow.db", "SELECT status FROM runs")
    assert statuses == [("KILLED",)]
    server = prepared.path / "prefect" / "prefect.db"
    flows = rows_of(server, "SELECT state_type FROM flow_run")
    assert flows == [("CANCELLED",)]
    tasks = rows_of(server, "SELECT state_type FROM task_run")
    assert ("RUNNING",) not in tasks


def files_below(folder):
    return sorted(str(path) for path in folder.rglob("*") if path.is_file())


def test_what_a_killed_run_leaves_in_the_temporary_folder_is_swept(prepared, tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = {"TMPDIR": str(temporary)}
    process = prepared.start("run", "blobs", **environment)
    assert process.stderr is not None
    seen = ""
    while "evaluate: " not in seen:  # the model and its golden rows lie there then
        line = process.stderr.readline()
        assert line, seen
        seen += line
    wait_for(
        lambda: any("golden" in name for name in files_below(temporary)),
        "rows in the temporary folder",
    )
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert files_below(temporary)
    [left] = temporary.iterdir()
    assert left.stat().st_mode & 0o077 == 0
    after = prepared.start("list", "--json", **environment)
    _, err = after.communicate(timeout=SECONDS)
    assert after.returncode == 0, err
    assert files_below(temporary) == []


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A folder for temporary files, for this process too."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    monkeypatch.setenv("TMPDIR", str(place))
    yield place


def test_only_folders_of_dead_processes_of_this_user_are_swept(temporary, tmp_path):
    dead = re.sub(r"/\d+/", "/4194303/", str(this_process()))
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / ".process").write_text(dead)
    (victim / "kept").touch()
    for name, mark in {
        "headrace-dead": dead,
        "headrace-alive": str(this_process()),
        "headrace-elsewhere": dead.replace("/", "x/", 1),
        "headrace-nothing": "no process",
        "other-dead": dead,
    }.items():
        (temporary / name).mkdir()
        (temporary / name / ".process").write_text(mark)
    (temporary / "headrace-empty").mkdir()
    (temporary / "headrace-link").symlink_to(victim)
    (temporary / "headrace-file").write_text(dead)
    before = {path.name for path in temporary.iterdir()}
    sweep_temporary(temporary)
    assert before - {path.name for path in temporary.iterdir()} == {"headrace-dead"}
    assert (victim / "kept").is_file()


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_a_command_runs_with_closed_streams(closed, tmp_path):
    command = f'exec "$0" -m headrace_cli list --json {closed}'
    ran = subprocess.run(
        ["sh", "-c", command, sys.executable],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_an_interrupt_while_the_command_is_still_imported_is_told(tmp_path):
    """The last module to be imported interrupts, as a user would."""
    code = (
        "import os, signal, sys\n"
        "from importlib.abc import MetaPathFinder\n"
        "class Interrupts(MetaPathFinder):\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'headrace_cli.upkeep':\n"
        "            os.kill(os.getpid(), signal.SIG{})\n"
        "sys.meta_path.insert(0, Interrupts())\n"
        "from headrace_cli.start import main\n"
        "sys.argv = ['headrace', 'list', '--json']\n"
        "main()\n"
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"headrace": "headrace_cli.start:main"}
    for name in ("INT", "TERM"):
        ran = subprocess.run(
            [sys.executable, "-c", code.format(name)],
            check=False,
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
        assert ran.returncode == 130, ran.stderr
        assert ran.stderr.startswith("headrace: Interrupted.")
        assert json.loads(ran.stdout)["error"]["kind"] == "Interrupted"
