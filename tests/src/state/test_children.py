"""A process has its niceness from its imports on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from headrace.state import children


def printed(folder: Path, *arguments: str, **options: Any) -> str:
    (folder / "some.py").write_text(
        "import os, sys, time\n"
        "sys.stdin.read()\n"
        "print(os.getpriority(os.PRIO_PROCESS, 0), *sys.argv[1:])\n"
    )
    child = children.start(
        "some",
        *arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])},
        **options,
    )
    return child.communicate()[0].decode()


def test_a_process_has_at_least_its_niceness(tmp_path: Path) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert printed(tmp_path, "one", "two") == f"{own} one two\n"
    assert printed(tmp_path, niceness=own + 1) == f"{own + 1}\n"
    assert printed(tmp_path, niceness=own - 1) == f"{own}\n"
