"""What ``headrace up`` starts, each server after those that it needs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from headrace.errors import DependencyError
from headrace.settings import Settings, variable
from headrace_ops import postgres, servers
from headrace_ops.environment import (
    CONFIGURED,
    check_doors,
    for_prefect,
    homes_own,
    mlflow_has_users,
    servers_logins,
)
from headrace_ops.live import UI_PORTS, answers, tail, write_links
from headrace_ops.pages import DATA_DOCS
from headrace_ops.run_server import configure
from headrace_ops.servers import Service
from headrace_ops.supervisor import Supervisor


def start_all(
    supervisor: Supervisor,
    settings: Settings,
    *,
    with_postgres: bool,
    pools: tuple[str, ...],
    host: str,
) -> dict[str, Any]:
    """Start the servers that are not configured elsewhere, and wait for their answers.

    Args:
        with_postgres: start a PostgreSQL in the home. A home that has one always does.
        pools: the pools that get a worker.

    Returns:
        The answer of ``up``: ``links``, ``workers``, ``home``, and ``environment``, the
        variables that a shell needs to use the same servers.

    Raises:
        UsageError: the address needs a password, or the home's state is in SQLite.
        DependencyError: a server does not start.
    """
    check_doors(host)
    configure(settings)
    if not variable("PREFECT_API_URL"):
        os.environ.update(for_prefect(servers_logins(settings)["prefect"]))
    links: dict[str, str] = {}
    wants_postgres = with_postgres or settings.postgres_socket
    if wants_postgres and servers.own_postgres_is_used():
        postgres.check_home(settings)
        supervisor.start(servers.postgres_service(settings))
        settings = Settings()  # read again: the databases have their URLs only now
    links |= _start_servers(supervisor, settings, host)
    write_links(settings, _with_postgres(links, settings), homes_own(settings))
    supervisor.start(*(servers.worker_service(settings, p, links) for p in pools))
    return {
        "status": "up",
        "links": _with_postgres(links, settings),
        "workers": list(pools),
        "home": str(settings.home.absolute()),
        "environment": _environment(
            settings,
            {n: servers.from_elsewhere(link, host) for n, link in links.items()},
        ),
    }


def _start_servers(
    supervisor: Supervisor, settings: Settings, host: str
) -> dict[str, str]:
    """Start Prefect's and MLflow's server, or find the configured one."""
    links, services = _servers(settings, host, UI_PORTS)
    try:
        supervisor.start(*services)
    except DependencyError:
        # Another process may take a port after it was found to be free.
        if not any("already in use" in tail(service.log) for service in services):
            raise
        supervisor.drop(*services)
        links, services = _servers(settings, host, dict.fromkeys(UI_PORTS, 0))
        supervisor.start(*services)
    return links


def _servers(
    settings: Settings, host: str, ports: Mapping[str, int]
) -> tuple[dict[str, str], list[Service]]:
    links: dict[str, str] = {}
    services: list[Service] = []
    for name, page, make in (
        ("prefect", "/api/health", servers.prefect_service),
        ("mlflow", "/health", servers.mlflow_service),
    ):
        key = CONFIGURED[name]
        links[name] = variable(key).rstrip("/").removesuffix("/api")
        if not links[name].startswith("http"):
            services.append(make(settings, host, ports[name]))
            links[name] = services[-1].link
        elif not answers(links[name] + page, 10):
            raise DependencyError(
                f"{links[name]}, which {key} names, does not answer.",
                f"Start it, or unset {key} to have one started here.",
            )
    return links, services


def _with_postgres(links: dict[str, str], settings: Settings) -> dict[str, str]:
    """The links, with the ledger's PostgreSQL if it has one. No password is shown."""
    url = settings.database_url
    if not url.startswith("postgresql"):
        return links
    parts = urlsplit(url)
    user, _, place = parts.netloc.rpartition("@")
    user = user.partition(":")[0]
    place = f"{user}@{place}" if user else place
    without_password = parts._replace(scheme="postgresql", netloc=place)
    return {**links, "postgres": without_password.geturl()}


def _environment(settings: Settings, links: dict[str, str]) -> dict[str, str]:
    """The variables for clients of these servers, with the home's login.

    A login from the environment is left out, and so is a database URL with a password.
    """
    variables = {
        "HEADRACE_HOME": str(settings.home.absolute()),
        "HEADRACE_PROJECT": str(settings.project.absolute()),
        "HEADRACE_STORE": settings.store,
        "HEADRACE_DATABASE_URL": settings.database_url,
        "PREFECT_API_URL": f"{links['prefect']}/api",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": variable(
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY"
        ),
        "MLFLOW_TRACKING_URI": links["mlflow"],
    }
    if urlsplit(settings.database_url).password:
        del variables["HEADRACE_DATABASE_URL"]
    own = homes_own(settings)
    if "prefect" in own:
        variables |= for_prefect(own["prefect"])
    if "mlflow" in own:
        variables["MLFLOW_TRACKING_USERNAME"] = own["mlflow"].user
        variables["MLFLOW_TRACKING_PASSWORD"] = own["mlflow"].password
    return variables


def page_links(settings: Settings, links: Mapping[str, str]) -> dict[str, str]:
    """The links, with a login for the servers that were started here."""
    logins = servers_logins(settings)
    pages = dict(links)
    for name, key in CONFIGURED.items():
        is_ours = not variable(key).startswith("http")
        if is_ours and not (name == "mlflow" and mlflow_has_users()):
            pages[name] = logins[name].link(links[name])
            if name == "mlflow":
                pages["data docs"] = logins[name].link(links[name], DATA_DOCS)
    return pages
