"""Runs the application on uvicorn, in one process."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from headrace.errors import DependencyError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.use.serving.app import App

KEEP_ALIVE_SECONDS = 60
STOP_SECONDS = 10


class Tls(NamedTuple):
    """The files of TLS."""

    certificate: Path
    key: Path


def listen(host: str, port: int) -> socket.socket:
    """A socket at an address, which takes no connection yet.

    Raises:
        UsageError: there is no such address.
        DependencyError: the port is taken.
    """
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, number)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise DependencyError(
                f"Port {port} of {host} is taken by another program.",
                "End it, or choose another one with --port; 0 takes any that is free.",
            ) from None
        raise UsageError(
            f"The server cannot listen at {host}, port {port}: {error.strerror}.",
            "Name an address of this machine with --host.",
        ) from None
    return listener


def run(
    app: App, listener: socket.socket, tls: Tls | None, ready: Callable[[], None]
) -> None:
    """Serve until a SIGTERM or Ctrl-C; what is in flight is answered first.

    Args:
        ready: called once connections are taken.
    """
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        loop="uvloop",
        http="httptools",
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
    )
    server = Server(config)
    factory = config.get_loop_factory()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(server.serve(sockets=[listener]))
