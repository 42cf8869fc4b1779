"""Checks of databases and of Prefect's and MLflow's servers.

Whether they answer; their login, version and clock; the ledger's chain; the workers;
and where artifacts are.
"""

from __future__ import annotations

import email.utils
import functools
import re
import sqlite3
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import httpx

from headrace.settings import Settings, variable
from headrace.signs import number_of
from headrace.state import hosts
from headrace.state.logins import login_of
from headrace_ops import environment, live
from headrace_ops.doctor import checks
from headrace_ops.doctor.checks import DoctorCheck, hint, ok, unreachable, wrong

CLOCK_SECONDS = 5.0
SECONDS = 2.0


def check_ledger(settings: Settings) -> Iterator[DoctorCheck]:
    """The ledger's database, and the chain over its rows."""
    url = re.sub("^postgresql:", "postgresql+psycopg2:", settings.database_url)
    rows = list(check_database("ledger", url))
    yield from rows
    if all(row.state == "ok" for row in rows):
        yield from _check_chain(url)


def _check_chain(url: str) -> Iterator[DoctorCheck]:
    """Whether every row is as it was written."""
    import sqlalchemy as sa

    from headrace.state.ledger import Ledger, ledger_exists

    if not ledger_exists(url):
        return
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite" and not parsed.query:
        file = Path(parsed.database or "").absolute().as_uri()
        url = f"sqlite:///{quote(file)}?mode=ro&uri=true"
    name = "ledger chain"
    if problem := (report := Ledger(url).walk_chain()).problem:
        fix = "Restore the ledger from a backup, and check who can write to it."
        yield wrong(name, problem, fix)
    else:
        yield ok(
            name, f"{number_of(report.rows, 'rows')}, last link {report.head[:16]}"
        )


def check_database(name: str, url: str) -> Iterator[DoctorCheck]:
    """The database at a SQLAlchemy URL. Creates nothing in it."""
    import sqlalchemy as sa

    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        fix = "Write it as postgresql://user@host/name."
        yield wrong(name, "its URL cannot be read", fix)
        return
    if parsed.get_backend_name() == "sqlite":
        yield _check_file(name, Path(parsed.database or ""))
    else:
        yield from _check_server(name, parsed)


def _check_file(name: str, path: Path) -> DoctorCheck:
    if not path.exists():
        return ok(name, f"{path}, created by the first run")
    from headrace.state.ledger.engines import is_out_of_room, is_read_only

    message = f"SQLite {path}"
    if is_read_only(path):
        fix = "To run pipelines, make it writable or set HEADRACE_HOME to another home."
        return hint(name, f"{message} is read-only", fix)
    try:
        uri = f"{path.as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=1)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        fix = "End the process that locks it, or use PostgreSQL."
        if is_out_of_room(str(path), str(error)):
            fix = "Its disk is full: make room."
        return unreachable(name, f"{message}: {error}", fix)
    except sqlite3.DatabaseError as error:
        fix = "Restore it from a backup, or move it away to start a new one."
        return wrong(name, f"{message}: {error}", fix)
    return ok(name, message)


def _check_server(name: str, url: Any) -> Iterator[DoctorCheck]:
    import sqlalchemy as sa

    shown = url.render_as_string(hide_password=True)
    try:
        limit = {"connect_timeout": 2}
        engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args=limit)
        with engine.connect() as connection:
            now = "SELECT extract(epoch FROM clock_timestamp()), version()"
            server_time, version = connection.exec_driver_sql(now).one()
    except ModuleNotFoundError as error:
        fix = "Write it as postgresql+psycopg2://, with 'headrace[postgres]' installed."
        yield wrong(name, f"{shown} needs the package {error.name!r}", fix)
    except sa.exc.SQLAlchemyError as error:
        why = (str(getattr(error, "orig", error)).strip().splitlines() or ["?"])[0]
        fix = "Start it, or correct its URL."
        yield unreachable(name, f"{shown} does not answer: {why}", fix)
    else:
        yield ok(name, f"{' '.join(str(version).split()[:2])}, {shown}")
        yield from check_clock(name, float(server_time))


def check_clock(name: str, server_time: float) -> Iterator[DoctorCheck]:
    """Whether a server's clock, in seconds, agrees with this one."""
    apart = server_time - time.time()
    if abs(apart) > CLOCK_SECONDS:
        side = "ahead of" if apart > 0 else "behind"
        message = f"its clock is {abs(apart):.0f} s {side} this machine's"
        fix = "Synchronise both by NTP: schedules and leases depend on the clock."
        yield wrong(f"{name} clock", message, fix)


@dataclass(frozen=True)
class CheckedServer:
    """How a server is checked, and the fix for each problem.

    Attributes:
        package: the package that it runs.
        version: the path of its version.
        private: a path that needs a login.
        body: the JSON body of the request for that path; None: it is a GET.
        to_start: the fix if it does not answer.
        to_enter: the fix if it refuses the login.
        to_lock: the fix if it needs no login.
    """

    package: str
    version: str
    private: str
    body: Any
    to_start: str
    to_enter: str
    to_lock: str


PREFECT = CheckedServer(
    "prefect",
    "/admin/version",
    "/admin/version",
    None,
    "Start it (here: `headrace up`), or set PREFECT_API_URL to a running one.",
    "Set PREFECT_API_AUTH_STRING to its user:password.",
    "Set PREFECT_SERVER_API_AUTH_STRING at the server, and PREFECT_API_AUTH_STRING "
    "here.",
)
MLFLOW = CheckedServer(
    "mlflow",
    "/version",
    "/api/2.0/mlflow/experiments/search",
    {"max_results": 50},
    "Start it (here: `headrace up`), or unset MLFLOW_TRACKING_URI.",
    "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.",
    "Start it with `headrace up`, or with --app-name basic-auth, and set "
    "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD here.",
)


def ask(url: str, headers: Any = None, body: Any = None) -> httpx.Response:
    """GET, or POST of a JSON body."""
    send = functools.partial(httpx.request, "GET" if body is None else "POST", url)
    return send(headers=headers, json=body, timeout=SECONDS, follow_redirects=True)


def check_server(
    server: CheckedServer, name: str, url: str, headers: dict[str, str]
) -> Generator[DoctorCheck, None, httpx.Response | None]:
    """The checks of both servers; returns the private page, or None without access."""
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
        message = f"{url} does not accept the login (status {page.status_code})"
        yield wrong(name, message, server.to_enter)
        return None
    yield ok(name, url)
    version = ask(url + server.version, headers)
    if version.status_code == 200:
        yield checks.compare(server.package, version.text.strip().strip('"'), url)
    stranger = ask(url + server.private, None, server.body).status_code
    yield from check_door(server, url, stranger)
    date = health.headers.get("Date")
    if date:
        server_time = email.utils.parsedate_to_datetime(date).timestamp()
        yield from check_clock(server.package, server_time)
    return page


def check_door(server: CheckedServer, url: str, stranger: int) -> Iterator[DoctorCheck]:
    """Whether a server that other machines can reach needs no login.

    Args:
        stranger: the status of its private page without a login.
    """
    if stranger == 200 and not hosts.is_loopback(urlsplit(url).hostname or ""):
        message = f"{url} can be used by anyone, without a password"
        yield wrong(f"{server.package} access", message, server.to_lock)


def check_prefect(settings: Settings) -> Iterator[DoctorCheck]:
    """Prefect's server and its workers."""
    url = live.lasting_api_url(settings)
    if not url:
        message = "no server is configured or running: each run starts its own"
        yield ok("prefect", message)
        return
    headers = prefect_headers(settings, url)
    if (yield from check_server(PREFECT, "prefect", url, headers)) is not None:
        yield _workers(settings, url, headers)


def prefect_headers(settings: Settings, url: str) -> dict[str, str]:
    """The login for a server of Prefect; empty without one."""
    login = environment.prefect_login() or login_of(settings.home, url)
    return {"Authorization": login.header} if login else {}


def online_workers(url: str, headers: dict[str, str]) -> dict[str, list[Any]]:
    """Prefect's records of the workers that are online, by pool."""
    return {
        pool["name"]: [
            worker
            for worker in ask(
                f"{url}/work_pools/{quote(pool['name'])}/workers/filter", headers, {}
            ).json()
            if worker["status"] == "ONLINE"
        ]
        for pool in ask(f"{url}/work_pools/filter", headers, {}).json()
    }


def _workers(settings: Settings, url: str, headers: dict[str, str]) -> DoctorCheck:
    """Which workers are online, and whether the databases allow more than one."""
    workers = online_workers(url, headers)
    online = {pool: len(some) for pool, some in workers.items()}
    if not any(online.values()):
        fix = "headrace worker --pool cpu"
        return hint("workers", "none is online: scheduled runs wait", fix)
    message = ", ".join(f"{name}: {count}" for name, count in sorted(online.items()))
    places = {"the ledger": settings.database_url, "MLflow": settings.tracking_uri}
    in_files = [name for name, uri in places.items() if uri.startswith("sqlite")]
    if sum(online.values()) > 1 and in_files:
        message += f"; {' and '.join(in_files)} in SQLite, which allows one writer"
        fix = "Use PostgreSQL, as infra/compose.yaml does."
        return hint("workers", message, fix)
    return ok("workers", message)


def check_mlflow(settings: Settings) -> Iterator[DoctorCheck]:
    """The tracking server or database."""
    uri = settings.tracking_uri
    if uri.startswith("http"):
        yield from _check_mlflow(uri.rstrip("/"), "mlflow", settings)
    elif uri.startswith(("sqlite", "postgresql", "mysql", "mssql")):
        yield from check_database("mlflow", uri)
        if page := live.live_links(settings).get("mlflow"):
            yield from _check_mlflow(page, "mlflow page", settings)
    else:
        message = f"MLFLOW_TRACKING_URI is {uri!r}; MLflow no longer supports folders"
        fix = "Unset MLFLOW_TRACKING_URI, or set it to a server or a database."
        yield wrong("mlflow", message, fix)


def _check_mlflow(url: str, name: str, settings: Settings) -> Iterator[DoctorCheck]:
    login = environment.mlflow_login() or login_of(settings.home, url)
    headers = {"Authorization": login.header} if login else {}
    token = variable("MLFLOW_TRACKING_TOKEN")
    if environment.mlflow_login() is None and token:
        headers = {"Authorization": f"Bearer {token}"}
    page = yield from check_server(MLFLOW, name, url, headers)
    if page is None or page.status_code != 200:
        return
    roots = {
        str(e.get("artifact_location", "")).rpartition("/")[0]
        for e in page.json().get("experiments", [])
        if e.get("experiment_id") != "0"  # MLflow's own, Default, which is not used
    }
    for root in sorted(roots):
        yield from check_artifacts(root, url)


def check_artifacts(root: str, url: str) -> Iterator[DoctorCheck]:
    """Whether this machine can write artifacts below the server's artifact root."""
    parts = urlsplit(root)
    if parts.scheme not in {"", "file"}:
        return  # the server writes them, or the store's check covers them
    path = Path(unquote(parts.path) or "/")
    name = "mlflow artifacts"
    if not checks.is_writable(path):
        message = f"the server's artifact root {path} is not writable from here"
        fix = (
            "Start the server with --artifacts-destination, so that it writes the "
            "artifacts, and train in a new experiment."
        )
        yield wrong(name, message, fix)
    elif not hosts.is_loopback(urlsplit(url).hostname or ""):
        fix = "Share it with every worker, or use --artifacts-destination."
        yield hint(name, f"the server's artifact root is a folder, {path}", fix)
    else:
        yield ok(name, str(path))
