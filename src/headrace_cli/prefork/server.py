"""The process of ``headrace up``: it imports once, and forks for each command.

A module with the home's settings in its environment.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib
import io
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace import pictures
from headrace.backend import import_backend
from headrace.imports import load_jsonschema
from headrace.interrupts import handle_signals
from headrace.settings import Settings
from headrace_cli import collect_seldom, end_with, first_word, leave_at_once
from headrace_cli.answers import INTERRUPTED
from headrace_cli.prefork.circumstances import (
    SECONDS,
    circumstances,
    differences,
    socket_at,
)
from headrace_ops.live import PREFORK_SOCKET
from headrace_ops.run_server import configure

_MAX_BYTES = 2**20
_DESCRIPTORS = 5  # standard streams, folder, lifeline
# What commands import when they need it.
_MODULES = (
    "headrace_cli.main",
    "headrace.data.sources.catalog.named",
    "headrace.media.audio",
    "headrace.media.image",
    "headrace.media.text",
    "headrace.tasks.classification.judge",
    "headrace.tasks.classification.learn",
    "headrace_flows.preload",
    "headrace_flows.train",
    "markdown_it",
    "mlflow.keras",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.system_metrics.system_metrics_monitor",
    "prefect.flow_engine",
    "prefect.utilities.visualization",
)


class ForkRequest:
    """What a command gives to its fork.

    Args:
        connection: to the command.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        connection.settimeout(SECONDS)
        self._words, self.descriptors, _, _ = socket.recv_fds(
            connection, _MAX_BYTES, _DESCRIPTORS
        )
        self._fields: dict[str, Any] = {}

    def fits(self, own: Mapping[str, Any]) -> bool:
        """Whether this process is in the circumstances of the command; logs why not."""
        try:
            self._fields = json.loads(self._words)
            different = differences(own, self._fields["circumstances"])
            if different:
                words = " ".join(self._fields["arguments"][1:3])
                what = f"{words} runs by itself: other {', '.join(different)}"
                sys.stderr.write(f"{time.ctime()}  {what}\n")
            return not different and len(self.descriptors) == _DESCRIPTORS
        except (ValueError, KeyError, TypeError, AttributeError):
            return False  # it is no request

    def take(self, added: Mapping[str, str]) -> None:
        """Become the command, in a new process.

        Args:
            added: variables that imports have set.
        """
        process = os.pidfd_open(os.getpid())  # first: an old kernel has none
        os.setsid()  # the end of `headrace up` does not end it
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        handle_signals()
        if self._fields["ignores_hangup"]:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        *streams, folder, lifeline = self.descriptors
        _end_with(lifeline)
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.fchdir(folder)
        os.close(folder)
        os.umask(self._fields["umask"])
        os.environ.clear()
        os.environ.update({**added, **self._fields["variables"]})
        sys.argv[:], sys.path[:] = self._fields["arguments"], self._fields["path"]
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(line_buffering=os.isatty(1))
        time.tzset()
        importlib.invalidate_caches()
        socket.send_fds(self.connection, [b"."], [process])
        os.close(process)


def _end_with(lifeline: int) -> None:
    """Have the kernel end this process when the other end of a pipe is closed."""
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC)
    if select.select([lifeline], [], [], 0)[0]:
        os._exit(1)


def _load() -> None:
    """Import what the commands need, and start no thread."""
    import_backend(minimal=True)  # first: it does without what is not imported yet
    load_jsonschema()
    from headrace_flows.libraries import load_rest, load_validation

    load_rest()
    load_validation()
    pictures.load()
    for name in _MODULES:
        importlib.import_module(name)


def _code() -> dict[str, tuple[int, int]]:
    """When the loaded code was last changed: Headrace's files, others by folder."""
    modules = [m for name, m in sys.modules.items() if name.startswith("headrace")]
    states = {}
    for path in (*(module.__file__ or "" for module in modules), *sys.path):
        with contextlib.suppress(OSError):
            state = os.stat(path)
            states[path] = (state.st_mtime_ns, state.st_size)
    return states


def serve() -> tuple[ForkRequest, Mapping[str, str]]:
    """Wait for commands; returns in a fork, for each."""
    given = dict(os.environ)
    settings = Settings()
    configure(settings)
    own = json.loads(json.dumps(circumstances()))
    _load()
    code = _code()
    added = {n: v for n, v in dict(os.environ).items() if n not in given}
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the forks
    os.umask(0o077)
    gc.collect()
    gc.freeze()
    with socket_at(settings.home) as (listener, address):
        listener.settimeout(None)
        Path(settings.home, PREFORK_SOCKET).unlink(missing_ok=True)
        listener.bind(address)
        listener.listen()
        while True:
            connection, _ = listener.accept()
            with contextlib.suppress(OSError):
                request = ForkRequest(connection)
                is_old = _code() != code
                if not is_old and request.fits(own) and os.fork() == 0:
                    return request, added
                for descriptor in request.descriptors:
                    os.close(descriptor)
                if is_old:
                    os.execve(sys.executable, sys.orig_argv, given)  # noqa: S606
            connection.close()


def main() -> None:
    """Serve the home that the settings name; in each fork, run a command."""
    collect_seldom()
    leave_at_once()
    request, added = serve()
    code: Any = INTERRUPTED
    try:
        request.take(added)
        from headrace.models.logged.serving_check import fork_spare
        from headrace_cli.main import main as run

        if first_word() == "run":
            fork_spare()
        run()
    except SystemExit as end:
        code = end.code or 0
    except KeyboardInterrupt:
        pass
    with contextlib.suppress(OSError):
        request.connection.send(bytes([code]))
    end_with(code)


if __name__ == "__main__":
    main()
