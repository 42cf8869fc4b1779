"""Checks of the ledger, and of Prefect's and MLflow's servers."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from headrace.settings import Settings, variable
from headrace.signs import number_of
from headrace.state import hosts
from headrace.state.home import Home
from headrace.state.logins import login_of
from headrace_ops import environment, live, pools
from headrace_ops.doctor.checks import DoctorCheck, hint, ok, wrong

# Of each server: the variables of its login, a private path, and that of its version.
_PLACES = {
    "prefect": ("PREFECT_API_AUTH_STRING", "/admin/version", "/admin/version"),
    "mlflow": (
        "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
        "/api/2.0/mlflow/experiments/search?max_results=1",
        "/version",
    ),
}


def check_ledger(settings: Settings) -> Iterator[DoctorCheck]:
    """The ledger: whether it answers, and every row is as it was written."""
    from headrace.state.ledger import Ledger, ledger_exists

    url = settings.database_url
    if not ledger_exists(url):
        yield ok("ledger", f"{url}, created by the first run")
        return
    report = Ledger(url).walk_chain()
    if report.problem:
        fix = "Restore the ledger from a backup, and check who can write to it."
        yield wrong("ledger", report.problem, fix)
    else:
        rows = number_of(report.rows, "rows")
        yield ok("ledger", f"{url}, {rows}, last link {report.head[:16] or 'none'}")


def check_mlflow(settings: Settings) -> Iterator[DoctorCheck]:
    """The tracking server or database."""
    uri = settings.tracking_uri
    if uri.startswith("http"):
        login = environment.mlflow_login()
        headers = environment.authorization(login or login_of(settings.home, uri))
        if login is None and (token := variable("MLFLOW_TRACKING_TOKEN")):
            headers = {"Authorization": f"Bearer {token}"}
        yield from check_server("mlflow", uri.rstrip("/"), headers)
    elif not uri.startswith(("sqlite", "postgresql", "mysql", "mssql")):
        message = f"MLFLOW_TRACKING_URI is {uri!r}; MLflow no longer supports folders"
        fix = "Unset MLFLOW_TRACKING_URI, or set it to a server or a database."
        yield wrong("mlflow", message, fix)
    elif uri.startswith("sqlite") and not Path(uri.removeprefix("sqlite:///")).exists():
        yield ok("mlflow", f"{uri}, created by the first run")
    else:
        Home(settings).tracking.running()
        yield ok("mlflow", uri)


def check_prefect(settings: Settings) -> Iterator[DoctorCheck]:
    """Prefect's server and its workers."""
    url = live.lasting_api_url(settings)
    if not url:
        message = "no server is configured or running: each run starts its own"
        yield ok("prefect", message)
        return
    headers = pools.headers(settings, url)
    if not (yield from check_server("prefect", url, headers)):
        return
    online = {pool: len(some) for pool, some in pools.online(url, headers).items()}
    if any(online.values()):
        text = ", ".join(f"{pool}: {count}" for pool, count in sorted(online.items()))
        yield ok("workers", text)
    else:
        fix = "headrace worker --pool cpu"
        yield hint("workers", "none is online: scheduled runs wait", fix)


def check_server(
    package: str, url: str, headers: dict[str, str]
) -> Generator[DoctorCheck, None, bool]:
    """Check access and version of a server; returns whether it accepts the login.

    Args:
        package: the package that it runs.
        url: its address, for Prefect that of its API.
        headers: with the login, if there is one.

    Raises:
        httpx.HTTPError: it does not answer.
    """
    login, private, version = _PLACES[package]
    page = _get(url + private, headers)
    if page.status_code in {401, 403}:
        message = f"{url} does not accept the login (status {page.status_code})"
        yield wrong(package, message, f"Set {login} to those of the server.")
        return False
    page.raise_for_status()
    yield ok(package, url)
    yield compare(package, _get(url + version, headers).text.strip().strip('"'), url)
    is_here = hosts.is_loopback(urlsplit(url).hostname or "")
    if not is_here and _get(url + private, {}).status_code == 200:
        message = f"{url} can be used by anyone, without a password"
        fix = f"Start it with `headrace up` or with a login, and set {login} here."
        yield wrong(f"{package} access", message, fix)
    return True


def _get(url: str, headers: dict[str, str]) -> httpx.Response:
    return httpx.get(url, headers=headers, timeout=5.0, follow_redirects=True)


def compare(package: str, server: str, where: str) -> DoctorCheck:
    """A server's version against that of this machine."""
    name, client = f"{package} version", metadata.version(package)
    if server.split(".")[:2] == client.split(".")[:2]:
        return ok(name, f"server {server}, client {client}")
    state = hint if server.split(".", maxsplit=1)[0] == client.split(".")[0] else wrong
    message = f"{where} has {server}, this machine has {client}"
    return state(name, message, f"Install {package} {client} on the server.")
