"""The servers of a home: each one's command, and the one of Headrace's own pages.

At the root of the pages is one page over everything. The Data Docs and the reports of
runs are in the store. A page loads no other resource. As a module with a port, this is
the server of the pages.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from headrace.display.pages import script
from headrace.errors import HeadraceError
from headrace.settings import Settings, variable
from headrace.state.folders import card_key
from headrace.state.home import Home
from headrace.state.logins import ensure_login
from headrace.state.tracking.connection import follow_home
from headrace_ops import environment, live, prefect_server
from headrace_ops.gate import HEADER_BYTES, UVICORN, Gate
from headrace_ops.overview import SCRIPT, overview

POOLS = ("cpu", "gpu")
PORTS = {"headrace": 4300, "prefect": 4200, "mlflow": 5000}
HEALTH = {"headrace": "/health", "prefect": "/api/health", "mlflow": "/health"}
MLFLOW_DATABASE = "MLFLOW_BACKEND_STORE_URI"
_DATA_DOCS = re.compile(live.DATA_DOCS + r"((?:[\w-]+/)?)(?:index\.html)?")
_REPORT = re.compile(r"/reports/([0-9a-f]{32})")
READY = "runs flows of the pool"  # what `headrace worker` says once Prefect knows it


@dataclass(frozen=True)
class Service:
    """A process that the supervisor keeps running.

    Attributes:
        name: its name in messages.
        command: its command line.
        environment: its whole environment.
        log: the file for its output.
        ready: its health check.
        link: its URL, if it has one.
    """

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    ready: Callable[[], bool]
    link: str = ""

    def __str__(self) -> str:
        return f"{self.name} at {self.link}" if self.link else self.name


def web_services(settings: Settings) -> tuple[dict[str, str], list[Service]]:
    """The links of all servers, and those to start, as they are not configured."""
    links: dict[str, str] = {}
    services: list[Service] = []
    makers = {"prefect": _prefect, "mlflow": _mlflow, "headrace": _pages}
    for name, make in makers.items():
        if url := environment.configured(name):
            links[name] = url.removesuffix("/api")
        else:
            services.append(make(settings, live.free_port(PORTS[name])))
            links[name] = services[-1].link
    return links, services


def _prefect(settings: Settings, port: int) -> Service:
    """Prefect's server, with the home's database unless another is configured."""
    login = environment.server_logins(settings)["prefect"]
    variables = {
        # The default is memory: a restarted server would cancel running flows.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": (
            "prefect.server.concurrency.lease_storage.filesystem"
        ),
        "PREFECT_UI_API_URL": "/api",  # the page works by every name of the server
        **os.environ,
        "PREFECT_API_URL": f"{_link(port)}/api",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
        "PREFECT_SERVER_API_AUTH_STRING": login.text,
    }
    command = [prefect_server.__name__, str(port)]
    return _web_service("prefect", settings, port, command, variables)


def _mlflow(settings: Settings, port: int) -> Service:
    """MLflow's server, with the home's database unless another is configured."""
    follow_home(settings)
    variables = {
        # Other users of the machine can read the command line, but not the environment.
        MLFLOW_DATABASE: settings.tracking_uri,
        **os.environ,
        # As gate.UVICORN.
        "MLFLOW_UVICORN_OPTS": "--log-level warning --no-access-log --http h11 "
        f"--no-proxy-headers --h11-max-incomplete-event-size {HEADER_BYTES}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        **environment.mlflow_variables(environment.server_logins(settings)["mlflow"]),
    }
    command = ["mlflow", "server", "--app-name", "headrace", "--workers", "1"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    if not _artifact_root_is_configured():
        command += ["--default-artifact-root", settings.artifacts]
        command += ["--artifacts-destination", settings.artifacts]
    return _web_service("mlflow", settings, port, command, variables)


def _pages(settings: Settings, port: int) -> Service:
    """The server of Headrace's own pages."""
    command = ["headrace_ops.servers", str(port)]
    variables = {**os.environ, "HEADRACE_HOME": str(settings.home.absolute())}
    return _web_service("headrace", settings, port, command, variables)


def _web_service(
    name: str,
    settings: Settings,
    port: int,
    command: list[str],
    variables: dict[str, str],
) -> Service:
    link = _link(port)
    return Service(
        name=name,
        command=[sys.executable, "-Pm", *command],
        environment=variables,
        log=settings.home.absolute() / f"{name}-server.log",
        ready=lambda: live.answers(link + HEALTH[name]),
        link=link,
    )


def worker_service(settings: Settings, pool: str, links: dict[str, str]) -> Service:
    """A worker of one pool; its flows have its variables."""
    log = settings.home.absolute() / f"{pool}-worker.log"
    variables = {**os.environ, **environment.places(settings)}
    variables["PREFECT_API_URL"] = f"{links['prefect']}/api"
    variables["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "INFO"
    if variable(MLFLOW_DATABASE) or _artifact_root_is_configured():
        variables.setdefault("MLFLOW_TRACKING_URI", links["mlflow"])
    return Service(
        name=f"{pool} worker",
        command=[sys.executable, "-m", "headrace_cli", "worker", "--pool", pool],
        environment=variables,
        log=log,
        ready=lambda: READY in log.read_text(errors="replace"),
    )


def _link(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _artifact_root_is_configured() -> bool:
    names = ("MLFLOW_DEFAULT_ARTIFACT_ROOT", "MLFLOW_ARTIFACTS_DESTINATION")
    return any(map(variable, names))


def find(settings: Settings, path: str) -> bytes | None:
    """The page at a path of the URL; None if there is none.

    Raises:
        DependencyError: the ledger does not answer.
    """
    if path == HEALTH["headrace"]:
        return b"ok"
    if path == "/":
        return overview(settings, is_served=True).encode()
    home = Home(settings)
    with contextlib.suppress(HeadraceError, OSError):
        if docs := _DATA_DOCS.fullmatch(path):
            return home.store.read(f"data_docs/{docs[1]}index.html")
        if report := _REPORT.fullmatch(path):
            return home.store.find(card_key(report[1]))
    return None


def _answer(settings: Settings, request: Request) -> Response:
    try:
        page = find(settings, request.url.path)
    except HeadraceError as error:
        return PlainTextResponse(str(error), 503, _headers())
    if page:
        return HTMLResponse(page, headers=_headers())
    return PlainTextResponse("There is no such page.", 404, _headers())


def _headers() -> dict[str, str]:
    return {
        "content-security-policy": f"{script(SCRIPT)[1]}; frame-ancestors 'self'",
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
    }


def application(settings: Settings) -> ASGIApp:
    """The pages behind the gate, which asks for the login of the home."""
    login = ensure_login(settings.home)
    return Gate(pages(settings), login=login, health=[HEALTH["headrace"]])


def pages(settings: Settings) -> Starlette:
    """The application without the gate."""
    return Starlette(routes=[Route("/{path:path}", partial(_answer, settings))])


def main() -> None:
    """Serve the pages at the port of the argument."""
    import uvicorn

    uvicorn.run(
        application(Settings()),
        port=int(sys.argv[1]),
        lifespan="off",
        log_level="warning",
        access_log=False,  # it would contain the token of the link
        **UVICORN,
    )


if __name__ == "__main__":
    main()
