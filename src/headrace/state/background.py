"""Processes that outlive this one: each does one thing at a low priority, and ends."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from headrace.errors import HeadraceError
from headrace.home import check_present
from headrace.settings import Settings
from headrace.state import children
from headrace.state.regular import open_log
from headrace.state.temporary import own_temporary_folder, shared_temporary_folder

NICENESS = 10  # requests come first, but it must not take forever
_LOG_BYTES = 2**20


def start(
    module: str, order: Any, log: str, settings: Settings, **variables: str
) -> subprocess.Popen[bytes]:
    """Start a process; raises OSError, and UsageError if its log cannot be written.

    Args:
        module: that calls `perform`.
        order: what it is to do, as JSON.
        log: the name of its log in the home.
        settings: that it gets.
        variables: of its environment, beside those of this process.
    """
    path = settings.home / log
    is_long = path.is_file() and path.stat().st_size > _LOG_BYTES
    with tempfile.TemporaryFile() as given, open_log(path, is_new=is_long) as out:
        given.write(json.dumps([order, settings.for_child()]).encode())
        given.seek(0)
        streams: dict[str, Any] = {"stdin": given, "stdout": out, "stderr": out}
        env = {**os.environ, "TMPDIR": shared_temporary_folder(), **variables}
        own: dict[str, Any] = {"niceness": NICENESS, "start_new_session": True}
        return children.start(module, **own, **streams, env=env)


def perform(work: Callable[[Any, Settings], object]) -> None:
    """Do what this process was started for; an error goes to its log."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    log = logging.getLogger("headrace")
    log.setLevel(logging.INFO)
    order, settings = json.load(sys.stdin.buffer)
    with own_temporary_folder():
        try:
            work(order, Settings.model_validate(settings))
        except HeadraceError as error:
            log.error("%s", error)


@contextlib.contextmanager
def one_at_a_time(settings: Settings, name: str) -> Iterator[None]:
    """Wait until no other process of the home is in a block of that name.

    Raises:
        UsageError: the home was deleted.
    """
    check_present(settings.home)
    with (settings.home / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
