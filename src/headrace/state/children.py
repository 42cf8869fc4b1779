"""Processes of our modules."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any


def start(
    module: str, *arguments: str, niceness: int = 0, **options: Any
) -> subprocess.Popen[bytes]:
    """Start a process of a module; raises OSError.

    Args:
        module: by its full name.
        arguments: that it gets.
        niceness: that it has at least, from its imports on: these take seconds of a
            core that others may need.
        options: of `subprocess.Popen`.
    """
    command = [sys.executable, "-Pm", module, *arguments]
    child = subprocess.Popen(command, **options)  # noqa: S603
    if niceness > os.getpriority(os.PRIO_PROCESS, 0):
        os.setpriority(os.PRIO_PROCESS, child.pid, niceness)
    return child
