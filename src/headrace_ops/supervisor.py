"""Starts the servers of ``headrace up`` in order, and restarts one that ended."""

from __future__ import annotations

import itertools
import logging
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from headrace.errors import DependencyError
from headrace.settings import Settings, variable
from headrace_ops import environment, guard, live, run_server, servers
from headrace_ops.servers import Service

POLL_SECONDS = 0.5
# Seconds between a start and each restart; their number is the limit of restarts.
PAUSES = (0.5, 2.0, 5.0, 15.0, 30.0, 60.0)
RESET_AFTER_SECONDS = 600.0

log = logging.getLogger("headrace")


@dataclass
class Supervised:
    """A service and its current process.

    Attributes:
        failures: the number of successive unexpected exits.
    """

    service: Service
    process: subprocess.Popen[bytes]
    started_at: float = field(default_factory=time.monotonic)
    failures: int = 0


class Supervisor:
    """Servers that do not outlive this process.

    Args:
        lock: a descriptor that the guards hold until their servers have ended.
    """

    def __init__(self, lock: int) -> None:
        self._lock = lock
        self._groups: list[list[Supervised]] = []  # in the order of their start

    def start(self, *services: Service) -> None:
        """Start servers in parallel, and wait until each answers.

        Raises:
            DependencyError: one does not; the message has the last line of its log.
        """
        started: list[Supervised] = []
        self._groups.append(started)
        if services:
            log.info("starting %s", ", ".join(map(str, services)))
        for service in services:
            if service.log.exists():
                service.log.replace(service.log.with_name(f"{service.log.name}.1"))
            started.append(Supervised(service, self._run(service)))
        for server in started:
            name, log_path = server.service.name, server.service.log
            live.wait_until(server.service.ready, server.process, name, log_path)
            seconds = time.monotonic() - server.started_at
            log.info("%s is there after %.1f s", name, seconds)

    def watch(self) -> None:
        """Keep the servers running until Ctrl-C.

        Raises:
            DependencyError: one has reached the limit of restarts.
        """
        while True:
            for server in itertools.chain(*self._groups):
                self._check(server)
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """End all servers: those that were started last, the workers, first."""
        for group in filter(None, reversed(self._groups)):
            log.info("ending %s", ", ".join(s.service.name for s in reversed(group)))
            guard.stop(*(server.process for server in group))

    def _run(self, service: Service) -> subprocess.Popen[bytes]:
        return guard.start(
            service.command,
            service.environment,
            str(service.log),
            keep_open=(self._lock,),
        )

    def _check(self, server: Supervised) -> None:
        if server.process.poll() is None:
            return
        ran_seconds, name = time.monotonic() - server.started_at, server.service.name
        if ran_seconds > RESET_AFTER_SECONDS:
            server.failures = 0
        last_message = live.last_line(server.service.log)
        if server.failures == len(PAUSES):
            raise DependencyError(
                f"{name} ended by itself {server.failures + 1} times: {last_message}",
                f"See {server.service.log}, then run `headrace up` again.",
            )
        if ran_seconds < PAUSES[server.failures]:
            return
        log.warning("%s ended (%s) and is started again", name, last_message)
        guard.stop(server.process)
        server.failures += 1
        server.process = self._run(server.service)
        server.started_at = time.monotonic()


def start_all(
    supervisor: Supervisor,
    settings: Settings,
    *,
    pools: tuple[str, ...],
    host: str,
) -> dict[str, Any]:
    """Start the servers that are not configured elsewhere, and wait until they answer.

    Args:
        pools: the pools to start a worker for.

    Returns:
        The result of ``up``: ``links``, ``workers``, ``home``, and ``environment``, the
        variables with which a shell uses these servers.

    Raises:
        UsageError: the address needs a password.
        DependencyError: a server does not start.
    """
    environment.require_passwords(host)
    run_server.configure(settings)
    if login := environment.server_logins(settings).get("prefect"):
        os.environ.update(environment.prefect_variables(login))
    links, services = _servers(settings, host)
    supervisor.start(*services)
    live.write_links(settings, links, environment.home_logins(settings))
    supervisor.start(*(servers.worker_service(settings, pool, links) for pool in pools))
    public = {n: servers.public_link(link, host) for n, link in links.items()}
    return {
        "status": "up",
        "links": links,
        "workers": list(pools),
        "home": str(settings.home.absolute()),
        "environment": _environment(settings, public),
    }


def _servers(settings: Settings, host: str) -> tuple[dict[str, str], list[Service]]:
    """The links of all servers, and those to start, as they are not configured."""
    links: dict[str, str] = {}
    services: list[Service] = []
    make = {
        "prefect": servers.prefect_service,
        "mlflow": servers.mlflow_service,
        "headrace": servers.pages_service,
    }
    for name, start in make.items():
        key = environment.CONFIGURED.get(name, "")
        links[name] = variable(key).rstrip("/").removesuffix("/api")
        if not environment.is_elsewhere(key):
            port = live.free_port(live.UI_PORTS[name], host)
            services.append(start(settings, host, port))
            links[name] = services[-1].link
        elif not live.answers(links[name] + servers.HEALTH[name], 10):
            raise DependencyError(
                f"{links[name]}, which {key} names, does not answer.",
                f"Start it, or unset {key} to start one here.",
            )
    return links, services


def _environment(settings: Settings, links: dict[str, str]) -> dict[str, str]:
    """The variables for clients of these servers, with the home's login.

    They contain no login from the environment, and no database URL with a password.
    """
    variables = {
        **environment.places(settings),
        "HEADRACE_STORE": settings.store,
        "PREFECT_API_URL": f"{links['prefect']}/api",
        "MLFLOW_TRACKING_URI": links["mlflow"],
    }
    if not urlsplit(settings.database_url).password:
        variables["HEADRACE_DATABASE_URL"] = settings.database_url
    own = environment.home_logins(settings)
    if "prefect" in own:
        variables |= environment.prefect_variables(own["prefect"])
    if "mlflow" in own:
        variables |= environment.mlflow_variables(own["mlflow"])
    return variables


def page_links(settings: Settings, links: Mapping[str, str]) -> dict[str, str]:
    """The links, with a login for the servers that were started here."""
    logins = environment.server_logins(settings)
    places = {"prefect": live.FLOW_RUNS}
    own = {n: login.link(links[n], places.get(n, "/")) for n, login in logins.items()}
    return {**links, **own}
