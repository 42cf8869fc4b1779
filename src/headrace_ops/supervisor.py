"""Supervises servers: restarts a server that ended, with backoff."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from headrace.errors import DependencyError
from headrace_ops import guard
from headrace_ops.live import last_line, wait_until
from headrace_ops.servers import Service

POLL_SECONDS = 0.5
PAUSES = (0.5, 2.0, 5.0, 15.0, 30.0, 60.0)
RESET_AFTER_SECONDS = 600.0

log = logging.getLogger("headrace")


@dataclass
class Supervised:
    """A service and its current process.

    Attributes:
        failures: the number of successive unexpected exits.
        restart_at: when to restart it; None while it runs.
    """

    service: Service
    process: subprocess.Popen[bytes]
    started_at: float = field(default_factory=time.monotonic)
    failures: int = 0
    restart_at: float | None = None


class Supervisor:
    """Servers that do not outlive this process.

    Args:
        lock: a descriptor that the guards hold until their servers have ended.
        pauses: the seconds before each restart of a server; their number is the limit
            of successive restarts.
    """

    def __init__(self, lock: int, pauses: Sequence[float] = PAUSES) -> None:
        self._lock = lock
        self._pauses = pauses
        self._servers: list[Supervised] = []

    def start(self, *services: Service) -> None:
        """Start servers in parallel, and wait until each answers.

        Raises:
            DependencyError: one does not; the message has the last line of its log.
        """
        started = []
        for service in services:
            if service.log.exists():
                service.log.replace(service.log.with_name(f"{service.log.name}.1"))
            started.append(Supervised(service, self._run(service)))
            self._servers.append(started[-1])
        for server in started:
            name, log_path = server.service.name, server.service.log
            wait_until(partial(_is_ready, server), server.process, name, log_path)

    def drop(self, *services: Service) -> None:
        """End servers and stop supervising them."""
        dropped = [server for server in self._servers if server.service in services]
        self._servers = [server for server in self._servers if server not in dropped]
        guard.stop(*(server.process for server in dropped))

    def watch(self) -> None:
        """Keep the servers running until Ctrl-C.

        Raises:
            DependencyError: one has reached the limit of restarts.
        """
        while True:
            for server in self._servers:
                self._check(server)
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """End all servers: workers first, databases last."""
        processes = {s.service.name: s.process for s in reversed(self._servers)}
        workers = [name for name in processes if name.endswith("worker")]
        databases = [name for name in processes if name == "postgres"]
        servers = [n for n in processes if n not in {*workers, *databases}]
        for names in (workers, servers, databases):
            if names:
                log.info("ending %s", ", ".join(names))
            guard.stop(*(processes[name] for name in names))

    def _run(self, service: Service) -> subprocess.Popen[bytes]:
        return guard.start(
            service.command,
            service.environment,
            str(service.log),
            keep_open=(self._lock,),
            grace_seconds=service.grace_seconds,
        )

    def _check(self, server: Supervised) -> None:
        now = time.monotonic()
        name = server.service.name
        if server.restart_at is not None:
            if now >= server.restart_at:
                server.process = self._run(server.service)
                server.started_at, server.restart_at = now, None
            return
        if server.process.poll() is None:
            return
        guard.stop(server.process)
        if now - server.started_at > RESET_AFTER_SECONDS:
            server.failures = 0
        last_message = last_line(server.service.log)
        if server.failures == len(self._pauses):
            raise DependencyError(
                f"{name} ended by itself {server.failures + 1} times: {last_message}",
                f"See {server.service.log}, then run `headrace up` again.",
            )
        pause = self._pauses[server.failures]
        server.failures += 1
        server.restart_at = now + pause
        log.warning("%s ended (%s); restart in %g s", name, last_message, pause)


def _is_ready(server: Supervised) -> bool:
    """Whether this server answers, not another home's server on the same port."""
    if not server.service.ready():
        return False
    if not server.service.port:
        return True
    import psutil

    with contextlib.suppress(psutil.Error):
        for process in psutil.Process(server.process.pid).children(recursive=True):
            for connection in process.net_connections("tcp"):
                is_listening = connection.status == psutil.CONN_LISTEN
                if is_listening and connection.laddr.port == server.service.port:
                    return True
    return False
