"""A process imports with the lowest priority, and works with its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.state import quiet

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="priorities of Linux")
MODULE = """
import os, sys
at_import = os.sched_getscheduler(0)
def main():
    print(at_import, os.sched_getscheduler(0), *sys.argv[1:])
"""


def ran(folder: Path, content: str, *arguments: str) -> tuple[int | None, str, str]:
    (folder / "some.py").write_text(content)
    child = quiet.start(
        "some",
        *arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])},
    )
    out, err = child.communicate()
    return child.returncode, out.decode(), err.decode()


def test_what_is_imported_waits_for_others_and_what_runs_does_not(
    tmp_path: Path,
) -> None:
    expected = f"{os.SCHED_IDLE} {os.SCHED_OTHER} one two\n"
    assert ran(tmp_path, MODULE, "one", "two") == (0, expected, "")


def test_what_cannot_be_imported_says_why(tmp_path: Path) -> None:
    code, out, err = ran(tmp_path, "raise ValueError('no library')")
    assert (code, out) == (1, "")
    assert err.endswith("ValueError: no library\n")


def test_without_a_free_core_it_begins_anew(tmp_path: Path) -> None:
    slow = f"import os, time\nos.sched_getscheduler(0) and time.sleep(600)\n{MODULE}"
    (tmp_path / "slow.py").write_text(f"{slow}\nif __name__ == '__main__': main()\n")
    code = (
        "from headrace.state import quiet; quiet.PATIENCE_SECONDS = 0.2; quiet.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "slow", "one"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    expected = f"{os.SCHED_OTHER} {os.SCHED_OTHER} one\n"
    assert (done.returncode, done.stdout) == (0, expected), done.stderr


def test_this_thread_keeps_its_priority() -> None:
    found = quiet.quietly(lambda: os.sched_getscheduler(0))
    assert (found, os.sched_getscheduler(0)) == (os.SCHED_IDLE, os.SCHED_OTHER)
