"""Keeps servers running: restarts a server that ended, with growing pauses."""

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

LOOK_SECONDS = 0.5
PAUSES = (0.5, 2.0, 5.0, 15.0, 30.0, 60.0)
FORGIVEN_AFTER_SECONDS = 600.0

log = logging.getLogger("headrace")


@dataclass
class Supervised:
    """A service and its current process.

    Attributes:
        failures: how many times in a row it ended by itself soon after its start.
        again_at: when to start it again; None while it runs.
    """

    service: Service
    process: subprocess.Popen[bytes]
    started_at: float = field(default_factory=time.monotonic)
    failures: int = 0
    again_at: float | None = None


class Supervisor:
    """Servers that run no longer than this process.

    Args:
        lock: a descriptor that the guards hold until their servers have ended.
        pauses: the seconds before each restart of a server that ended by itself. After
            the last one, `watch` gives up.
    """

    def __init__(self, lock: int, pauses: Sequence[float] = PAUSES) -> None:
        self._lock = lock
        self._pauses = pauses
        self._servers: list[Supervised] = []

    def start(self, *services: Service) -> None:
        """Start servers at the same time, and wait until each answers.

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
        """End servers, and restart them no more."""
        dropped = [server for server in self._servers if server.service in services]
        self._servers = [server for server in self._servers if server not in dropped]
        guard.stop(*(server.process for server in dropped))

    def watch(self) -> None:
        """Keep the servers running until Ctrl-C.

        Raises:
            DependencyError: one ended more often than it is restarted.
        """
        while True:
            for server in self._servers:
                self._look_after(server)
            time.sleep(LOOK_SECONDS)

    def stop(self) -> None:
        """End all servers: first the workers, then what they use."""
        by_command = {s.service.name: s.process for s in reversed(self._servers)}
        workers = [name for name in by_command if name.endswith("worker")]
        databases = [name for name in by_command if name == "postgres"]
        servers = [n for n in by_command if n not in {*workers, *databases}]
        for names in (workers, servers, databases):
            if names:
                log.info("ending %s", ", ".join(names))
            guard.stop(*(by_command[name] for name in names))

    def _run(self, service: Service) -> subprocess.Popen[bytes]:
        return guard.start(
            service.command,
            service.environment,
            str(service.log),
            keep_open=(self._lock,),
            grace_seconds=service.grace_seconds,
        )

    def _look_after(self, server: Supervised) -> None:
        now = time.monotonic()
        name = server.service.name
        if server.again_at is not None:
            if now >= server.again_at:
                server.process = self._run(server.service)
                server.started_at, server.again_at = now, None
            return
        if server.process.poll() is None:
            return
        guard.stop(server.process)
        if now - server.started_at > FORGIVEN_AFTER_SECONDS:
            server.failures = 0
        last_message = last_line(server.service.log)
        if server.failures == len(self._pauses):
            raise DependencyError(
                f"{name} ended by itself {server.failures + 1} times: {last_message}",
                f"See {server.service.log}, then run `headrace up` again.",
            )
        pause = self._pauses[server.failures]
        server.failures += 1
        server.again_at = now + pause
        log.warning("%s ended (%s); restart in %g s", name, last_message, pause)


def _is_ready(server: Supervised) -> bool:
    """Whether the server answers, and not one of another home on the same port."""
    if not server.service.ready():
        return False
    if not server.service.port:
        return True
    import psutil

    with contextlib.suppress(psutil.Error):
        for process in psutil.Process(server.process.pid).children(recursive=True):
            for connection in process.net_connections("tcp"):
                is_open = connection.status == psutil.CONN_LISTEN
                if is_open and connection.laddr.port == server.service.port:
                    return True
    return False
