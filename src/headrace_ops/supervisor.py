"""Starts the servers of ``headrace up`` in order, and restarts one that ended."""

from __future__ import annotations

import logging
import os
import subprocess
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from headrace.errors import DependencyError
from headrace.settings import Settings
from headrace_ops import environment, guard, live, run_server, servers
from headrace_ops.servers import Service

POLL_SECONDS = 0.5
RESTART_AFTER_SECONDS = 30  # what ends sooner would do so again

log = logging.getLogger("headrace")


@dataclass(frozen=True)
class _Started:
    """A service, its process, and when that was started, by the monotonic clock."""

    service: Service
    process: subprocess.Popen[bytes]
    at: float


class Supervisor:
    """Servers that do not outlive this process.

    Args:
        lock: a descriptor that the guards hold until their servers have ended.
    """

    def __init__(self, lock: int) -> None:
        self._lock = lock
        self._groups: list[list[_Started]] = []  # in the order of their start

    def start(self, *services: Service) -> None:
        """Start servers in parallel, and wait until each answers.

        Raises:
            DependencyError: one does not; the message has the last line of its log.
        """
        started: list[_Started] = []
        self._groups.append(started)
        if services:
            log.info("starting %s", ", ".join(map(str, services)))
        for service in services:
            if service.log.exists():
                service.log.replace(service.log.with_name(f"{service.log.name}.1"))
            started.append(self._run(service))
        for server in started:
            name, log_path = server.service.name, server.service.log
            live.wait_until(server.service.ready, server.process, name, log_path)
            log.info("%s is there after %.1f s", name, time.monotonic() - server.at)

    def watch(self) -> None:
        """Keep the servers running until Ctrl-C.

        Raises:
            DependencyError: one ended soon after its start.
        """
        while True:
            for group in self._groups:
                group[:] = map(self._kept, group)
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """End all servers: those that were started last, the workers, first."""
        for group in filter(None, reversed(self._groups)):
            log.info("ending %s", ", ".join(s.service.name for s in reversed(group)))
            guard.stop(*(server.process for server in group))

    def _run(self, service: Service) -> _Started:
        process = guard.start(
            service.command,
            service.environment,
            str(service.log),
            keep_open=(self._lock,),
        )
        return _Started(service, process, time.monotonic())

    def _kept(self, server: _Started) -> _Started:
        """The server, started again if it has ended."""
        service = server.service
        if server.process.poll() is None:
            return server
        reason = f"{service.name} ended by itself: {live.last_line(service.log)}"
        if time.monotonic() - server.at < RESTART_AFTER_SECONDS:
            raise DependencyError(
                reason, f"See {service.log}, then run `headrace up` again."
            )
        log.warning("%s; it is started again", reason)
        guard.stop(server.process)
        return self._run(service)


def start_all(
    supervisor: Supervisor, settings: Settings, pools: tuple[str, ...]
) -> dict[str, Any]:
    """Start the servers that are not configured elsewhere, and wait until they answer.

    Args:
        pools: the pools to start a worker for.

    Returns:
        The result of ``up``: ``links``, ``workers``, ``home``, and ``environment``, the
        variables with which a shell uses these servers.

    Raises:
        DependencyError: a server does not start.
    """
    run_server.configure(settings)
    logins = environment.server_logins(settings)
    if "prefect" in logins:
        os.environ.update(environment.prefect_variables(logins["prefect"]))
    links, services = servers.web_services(settings)
    supervisor.start(*services)
    own = {name for name, login in logins.items() if login == logins["headrace"]}
    live.write_links(settings, links, own)
    supervisor.start(*(servers.worker_service(settings, pool, links) for pool in pools))
    return {
        "status": "up",
        "links": links,
        "workers": list(pools),
        "home": str(settings.home.absolute()),
        "environment": _environment(settings, links, own),
    }


def _environment(
    settings: Settings, links: dict[str, str], own: set[str]
) -> dict[str, str]:
    """The variables for clients of these servers, with the home's login.

    They contain no login from the environment, and no database URL with a password.

    Args:
        own: the names of the servers that accept the home's login.
    """
    login = environment.server_logins(settings)["headrace"]
    variables = {
        **environment.places(settings),
        "HEADRACE_STORE": settings.store,
        "PREFECT_API_URL": f"{links['prefect']}/api",
        "MLFLOW_TRACKING_URI": links["mlflow"],
    }
    if not urlsplit(settings.database_url).password:
        variables["HEADRACE_DATABASE_URL"] = settings.database_url
    if "prefect" in own:
        variables |= environment.prefect_variables(login)
    if "mlflow" in own:
        variables |= environment.mlflow_variables(login)
    return variables


def page_links(settings: Settings, links: dict[str, str]) -> dict[str, str]:
    """The links, with a login for the servers that were started here."""
    logins = environment.server_logins(settings)
    places = {"prefect": live.FLOW_RUNS}
    own = {n: login.link(links[n], places.get(n, "/")) for n, login in logins.items()}
    return {**links, **own}
