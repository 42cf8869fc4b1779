"""Runs the application on uvicorn, in one process."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import logging
import os
import platform
import resource
import signal
import socket
import ssl
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import uvicorn

from headrace.errors import DependencyError, UsageError
from headrace.serving.connections import CONNECTIONS_LIMIT, HttpConnection
from headrace.state.processes import listening_at

if TYPE_CHECKING:
    from headrace.serving.app import App

KEEP_ALIVE_SECONDS = 60
STOP_SECONDS = 10
_TURN_SECONDS = 0.0005  # a thread beside the answers has; 5 ms by default
_SWEEP_SECONDS = 1.0
_OTHER_FILES = 256
_TURN_NANOSECONDS = 100_000
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}  # its number, by machine
_RESET_ON_FORK = 1
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Tls(NamedTuple):
    """The files of TLS, PEM."""

    certificate: Path
    key: Path


def listen(host: str, port: int) -> socket.socket:
    """A socket at an address, which takes no connection yet.

    Raises:
        UsageError: there is no such address, or the port needs a privilege.
        DependencyError: the port is taken.
    """
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, number)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except (OSError, UnicodeError) as error:  # the name may be none
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise DependencyError(
                f"Port {port} of {host} is taken by {listening_at(port)}.",
                "Use what answers there, or end it, or choose another port with "
                "--port; 0 takes any that is free.",
            ) from None
        raise UsageError(
            f"The server cannot listen on {host}, port {port}: "
            f"{getattr(error, 'strerror', None) or error}.",
            "Name an address of this machine with --host, and a port with --port.",
        ) from None
    return listener


def allow_connections() -> None:
    """Raise the limit of open files, as far as that is allowed, for connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS_LIMIT + _OTHER_FILES
    if soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


class Server(uvicorn.Server):
    """Serves until a signal, and then ends without it.

    Args:
        config: uvicorn's.
        app: the application.
        ready: called once connections are taken.

    Attributes:
        failure: what ``ready`` raised, which ended the server.
    """

    def __init__(
        self, config: uvicorn.Config, app: App, ready: Callable[[], object]
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self.failure: BaseException | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take connections."""
        await super().startup(sockets)
        self._sweep()
        asyncio.get_running_loop().call_soon(self._announce)

    def _announce(self) -> None:
        try:
            self._ready()
        except BaseException as error:  # such as a pipe that nobody reads
            self.failure, self.should_exit = error, True

    def _sweep(self) -> None:
        """End what takes too long, once a second."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in list(self.server_state.connections):
            if isinstance(connection, HttpConnection):
                connection.end_slow(now)
        loop.call_later(_SWEEP_SECONDS, self._sweep)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at a signal; uvicorn would raise it again at the end."""
        former = {one: signal.signal(one, self.handle_exit) for one in _SIGNALS}
        try:
            yield
        finally:
            for one, handler in former.items():
                signal.signal(one, handler)


def run(
    app: App, listener: socket.socket, tls: Tls | None, ready: Callable[[], object]
) -> None:
    """Serve until a SIGTERM or Ctrl-C; what is in flight is answered first.

    Args:
        app: the application.
        listener: from `listen`.
        tls: None: without.
        ready: called once connections are taken.

    Raises:
        UsageError: the files of TLS are not a certificate and its key.
    """
    allow_connections()
    sys.setswitchinterval(_TURN_SECONDS)
    take_short_turns()
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=HttpConnection,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
        ssl_certfile=tls and tls.certificate,
        ssl_keyfile=tls and tls.key,
        # With one that is wrong OpenSSL does not ask for it at the terminal.
        ssl_keyfile_password="none",  # noqa: S106
    )
    try:
        config.load()
    except OSError as error:
        is_form = isinstance(error, ssl.SSLError)
        reason = "they are not a pair of PEM files" if is_form else error.strerror
        raise UsageError(
            f"The files of TLS, {' and '.join(map(str, tls or ()))}, cannot be used: "
            f"{reason}.",
            "Give a certificate and its private key as PEM, without a password.",
        ) from None
    server = Server(config, app, ready)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(server.serve(sockets=[listener]))
    if server.failure is not None:
        raise server.failure


def take_short_turns() -> None:
    """Let this thread begin at once when it is woken, also while others have its core.

    Its share of the core stays. From Linux 6.12 on, a thread that asks for shorter
    turns interrupts others (``sched_runtime`` in sched_setattr(2)). Elsewhere nothing
    changes.
    """
    number = _SCHED_SETATTR.get(platform.machine())
    if sys.platform != "linux" or number is None:
        return
    if os.sched_getscheduler(0) != os.SCHED_OTHER:
        return
    niceness = os.getpriority(os.PRIO_PROCESS, 0)
    if niceness < 0:  # its children and other threads would lose it
        return
    times = _TURN_NANOSECONDS, 0, 0
    form = "=IIQiIQQQ"  # size, policy, flags, niceness, priority, times
    size = struct.calcsize(form)
    wish = struct.pack(form, size, os.SCHED_OTHER, _RESET_ON_FORK, niceness, 0, *times)
    ctypes.CDLL(None).syscall(ctypes.c_long(number), 0, wish, 0)
