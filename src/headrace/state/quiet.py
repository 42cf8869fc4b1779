"""Processes of our modules, and work that takes what nobody else wants of a core."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

PATIENCE_SECONDS = 2.0  # of a machine without a free core
R = TypeVar("R")


def start(
    module: str, *arguments: str, is_quiet: bool = True, **options: Any
) -> subprocess.Popen[bytes]:
    """Start a process that calls the ``main`` of a module; raises OSError.

    Args:
        module: by its full name.
        arguments: that it gets.
        is_quiet: whether it imports quietly; ``main`` has the usual priority again.
        options: of `subprocess.Popen`.
    """
    quiet = (__spec__.name,) if is_quiet else ()
    command = [sys.executable, "-Pm", *quiet, module, *arguments]
    return subprocess.Popen(command, **options)  # noqa: S603


def be_quiet() -> None:
    """Give this thread, and what it starts, the lowest priority for good."""
    if sys.platform == "linux":  # elsewhere it would be for the whole process
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def quietly(call: Callable[[], R], seconds: float | None = None) -> R:
    """What a call gives in a thread of its own, which is quiet.

    Raises:
        TimeoutError: it takes more than so many seconds; the thread goes on.
    """
    quiet = ThreadPoolExecutor(1, initializer=be_quiet)
    try:
        return quiet.submit(call).result(seconds)
    finally:
        quiet.shutdown(wait=False)


def main() -> None:
    """Import the module that the first argument names, and call its ``main``.

    Where no core gets free, the process begins anew, with its usual priority.
    """
    name = sys.argv.pop(1)
    try:
        module = quietly(lambda: importlib.import_module(name), PATIENCE_SECONDS)
    except TimeoutError:
        command = [sys.executable, "-Pm", name, *sys.argv[1:]]
        os.execv(sys.executable, command)  # noqa: S606
    module.main()


if __name__ == "__main__":
    main()
