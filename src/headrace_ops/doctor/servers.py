"""Prefect's and MLflow's servers: versions, doors, clocks, and what hangs on them."""

from __future__ import annotations

import email.utils
import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx

from headrace.settings import Settings, variable
from headrace.state.logins import login_of
from headrace_ops.doctor.check import Check, hint, ok, unreachable, wrong
from headrace_ops.doctor.databases import check_clock, check_database
from headrace_ops.doctor.machine import compare
from headrace_ops.environment import is_loopback, mlflow_login, prefect_login
from headrace_ops.live import lasting_api_url, live_links

SECONDS = 2.0


@dataclass(frozen=True)
class Server:
    """What is asked of a server, and what to do about its answers.

    Attributes:
        package: what it is a server of.
        version: its page with its version.
        private: a page that only users may see.
        body: what that page is asked with, in JSON; None: it is a GET.
        to_start, to_enter, to_lock: the fixes, where it does not answer, where it lets
            this machine not in, and where it lets everyone in.
    """

    package: str
    version: str
    private: str
    body: Any
    to_start: str
    to_enter: str
    to_lock: str


PREFECT = Server(
    "prefect",
    "/admin/version",
    "/admin/version",
    None,
    "Start it (here: `headrace up`), or set PREFECT_API_URL to one that runs.",
    "Set PREFECT_API_AUTH_STRING to its user:password.",
    "Set PREFECT_SERVER_API_AUTH_STRING at the server, and PREFECT_API_AUTH_STRING "
    "here.",
)
MLFLOW = Server(
    "mlflow",
    "/version",
    "/api/2.0/mlflow/experiments/search",
    {"max_results": 50},
    "Start it (here: `headrace up`), or unset MLFLOW_TRACKING_URI.",
    "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.",
    "Start it with `headrace up`, or with --app-name basic-auth, and set "
    "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD here.",
)


def ask(
    url: str, headers: dict[str, str] | None = None, body: Any = None
) -> httpx.Response:
    """GET, or POST of a JSON body."""
    method = "GET" if body is None else "POST"
    return httpx.request(
        method, url, headers=headers, json=body, timeout=SECONDS, follow_redirects=True
    )


def check_server(
    server: Server, name: str, url: str, headers: dict[str, str]
) -> Generator[Check, None, httpx.Response | None]:
    """What holds of both; returns the private page, or None where it is not shown."""
    try:
        health = ask(f"{url}/health")
        why = "" if health.status_code == 200 else f"status {health.status_code}"
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        why = str(error) or type(error).__name__
    if why:
        yield unreachable(name, f"{url} does not answer: {why}", server.to_start)
        return None
    page = ask(url + server.private, headers, server.body)
    if page.status_code in {401, 403}:
        message = f"{url} asks for a user and password, and was given no right ones"
        yield wrong(name, message, server.to_enter)
        return None
    yield ok(name, url)
    version = ask(url + server.version, headers)
    if version.status_code == 200:
        yield compare(server.package, version.text.strip().strip('"'), url)
    stranger = ask(url + server.private, None, server.body).status_code
    yield from check_door(server, url, stranger)
    date = health.headers.get("Date")
    if date:
        server_time = email.utils.parsedate_to_datetime(date).timestamp()
        yield from check_clock(server.package, server_time)
    return page


def check_door(server: Server, url: str, stranger: int) -> Iterator[Check]:
    """Whether a server that others can reach lets in who shows no password.

    Args:
        stranger: the status of the private page for such a one.
    """
    if stranger == 200 and not is_loopback(urlsplit(url).hostname or ""):
        message = f"{url} lets everyone in, without a password"
        yield wrong(f"{server.package} access", message, server.to_lock)


def check_prefect(settings: Settings) -> Iterator[Check]:
    """The server of runs and deployments, and its workers."""
    url = lasting_api_url(settings)
    if not url:
        yield ok("prefect", "none is configured or up: a run has a temporary server")
        return
    login = prefect_login() or login_of(settings.home, url)
    headers = {"Authorization": login.header} if login else {}
    if (yield from check_server(PREFECT, "prefect", url, headers)) is not None:
        yield _workers(settings, url, headers)


def _workers(settings: Settings, url: str, headers: dict[str, str]) -> Check:
    """Which workers are there, and whether their databases bear several."""
    online: dict[str, int] = {}
    for pool in ask(f"{url}/work_pools/filter", headers, {}).json():
        page = f"{url}/work_pools/{pool['name']}/workers/filter"
        workers = ask(page, headers, {}).json()
        online[pool["name"]] = sum(w["status"] == "ONLINE" for w in workers)
    if not any(online.values()):
        fix = "headrace worker --pool cpu"
        return hint("workers", "none is there: scheduled runs wait", fix)
    message = ", ".join(f"{name}: {count}" for name, count in sorted(online.items()))
    places = {"the ledger": settings.database_url, "MLflow": settings.tracking_uri}
    in_files = [name for name, uri in places.items() if uri.startswith("sqlite")]
    if sum(online.values()) > 1 and in_files:
        message = f"{message}; {' and '.join(in_files)} in SQLite, which locks"
        fix = "Use PostgreSQL: `headrace up --postgres` in a new home."
        return hint("workers", message, fix)
    return ok("workers", message)


def check_mlflow(settings: Settings) -> Iterator[Check]:
    """The tracking server or database."""
    uri = settings.tracking_uri
    if uri.startswith("http"):
        yield from _check_mlflow(uri.rstrip("/"), "mlflow", settings)
    elif uri.startswith(("sqlite", "postgresql", "mysql", "mssql")):
        yield from check_database("mlflow", uri, settings)
        if live := live_links(settings).get("mlflow"):
            yield from _check_mlflow(live, "mlflow page", settings)
    else:
        message = f"MLFLOW_TRACKING_URI is {uri!r}: files, which MLflow has given up"
        fix = "unset MLFLOW_TRACKING_URI, or set it to a server or a database"
        yield wrong("mlflow", message, fix)


def _check_mlflow(url: str, name: str, settings: Settings) -> Iterator[Check]:
    login = mlflow_login() or login_of(settings.home, url)
    headers = {"Authorization": login.header} if login else {}
    token = variable("MLFLOW_TRACKING_TOKEN")
    if mlflow_login() is None and token:
        headers = {"Authorization": f"Bearer {token}"}
    page = yield from check_server(MLFLOW, name, url, headers)
    if page is None or page.status_code != 200:
        return
    experiments = page.json().get("experiments", [])
    roots = {
        str(e.get("artifact_location", "")).rpartition("/")[0] for e in experiments
    }
    for root in sorted(roots):
        yield from check_artifacts(root, url)


def check_artifacts(root: str, url: str) -> Iterator[Check]:
    """Whether artifacts below a root of the server's can be written from here."""
    parts = urlsplit(root)
    if parts.scheme not in {"", "file"}:
        return  # the server's to write, or asked for with the store
    path = Path(unquote(parts.path) or "/")
    name = "mlflow artifacts"
    nearest = next(p for p in (path, *path.parents) if p.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK)):
        message = f"the server's artifact root {path} cannot be written from here"
        fix = (
            "Start it with --artifacts-destination, so that it writes them itself, and "
            "train in a new experiment."
        )
        yield wrong(name, message, fix)
    elif not is_loopback(urlsplit(url).hostname or ""):
        fix = "Share it with every worker, or use --artifacts-destination."
        yield hint(name, f"the server's artifact root is a folder, {path}", fix)
    else:
        yield ok(name, str(path))
