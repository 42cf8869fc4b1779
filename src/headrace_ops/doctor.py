"""``headrace doctor``: what is configured, what answers, and what to do about it."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Literal

import httpx

from headrace.display.progress import counted
from headrace.display.signs import number_of
from headrace.errors import DependencyError, HeadraceError, UsageError
from headrace.records import Record, Shown
from headrace.settings import Settings, variable
from headrace.state.home import Home
from headrace.state.logins import login_of
from headrace_ops import environment, live, worker

State = Literal["ok", "hint", "wrong", "unreachable"]
_LOGINS = {
    "prefect": "PREFECT_API_AUTH_STRING",
    "mlflow": "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
}
_PACKAGES = ("prefect", "mlflow", "keras", "tensorflow", "great_expectations")


class DoctorCheck(Record):
    """The result of one check.

    Attributes:
        name: what was checked.
        state: ``hint`` works but could be better, ``wrong`` is configured wrongly or
            damaged, ``unreachable`` is configured and does not answer.
        seen: what the check saw. Passwords are hidden.
        fix: what to do; empty if all is well. Passwords are hidden.
    """

    name: str
    state: State
    seen: Shown
    fix: Shown = ""


def _row(name: str, seen: str, state: State = "ok", fix: str = "") -> DoctorCheck:
    return DoctorCheck(name=name, state=state, seen=seen, fix=fix)


def examine(settings: Settings) -> list[DoctorCheck]:
    """Run all checks. They change nothing, and what they ask answers in limited time.

    A remote store is checked by writing one small object, which is deleted again.
    """
    rows = list[DoctorCheck]()
    for name in counted(CHECKS, "doctor", "checks"):
        try:
            rows.extend(CHECKS[name](settings))
        except HeadraceError as error:
            is_silent = isinstance(error, DependencyError)
            state: State = "unreachable" if is_silent else "wrong"
            rows.append(_row(name, error.message, state, error.action))
        except (httpx.HTTPError, ValueError) as error:  # no answer, or not of its API
            fix = "Start it (here: `headrace up`), or correct its address."
            text = str(error) or type(error).__name__
            rows.append(_row(name, text, "unreachable", fix))
    return rows


def _check_writable(folder: Path, setting: str) -> None:
    """Refuse a folder that is not writable, or cannot be created if it is missing."""
    nearest = next(p for p in (folder, *folder.parents) if p.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
        raise UsageError(
            f"{folder} is not writable.", f"Set {setting} to a writable folder."
        )


def check_home(settings: Settings) -> Iterator[DoctorCheck]:
    """The home: whether it is writable, and its space."""
    home = settings.home.absolute()
    _check_writable(home, "HEADRACE_HOME")
    if not home.exists():
        yield _row("home", f"{home}, created by the first run")
        return
    free = shutil.disk_usage(home).free / 2**30
    text = f"{home}, {free:.1f} GiB free"
    yield _row("home", text) if free >= 1 else _row("home", text, "hint", "Make room.")


def check_store(settings: Settings) -> Iterator[DoctorCheck]:
    """The store. A remote one is checked by writing and deleting an object."""
    from headrace.state.remote import storage_options
    from headrace.state.store import Store

    place = settings.store
    storage_options(place, settings)
    if "://" in place:
        store, key = Store(place), f"doctor/{uuid.uuid4().hex}"
        store.write(key, b"written by headrace doctor")
        store.fs.rm_file(store.path(key))
    else:
        _check_writable(Path(place).absolute(), "HEADRACE_STORE")
    yield _row("store", place)


def check_ledger(settings: Settings) -> Iterator[DoctorCheck]:
    """The ledger: whether it answers, and every row is as it was written."""
    from headrace.state.ledger import Ledger, ledger_exists

    url = settings.database_url
    if not ledger_exists(url):
        yield _row("ledger", f"{url}, created by the first run")
        return
    report = Ledger(url).walk_chain()
    if report.problem:
        fix = "Restore the ledger from a backup, and check who can write to it."
        raise UsageError(report.problem, fix)
    rows, link = number_of(report.rows, "rows"), report.head[:16] or "none"
    yield _row("ledger", f"{url}, {rows}, last link {link}")


def check_mlflow(settings: Settings) -> Iterator[DoctorCheck]:
    """The tracking server or database."""
    uri = settings.tracking_uri.rstrip("/")
    if uri.startswith("http"):
        login = environment.mlflow_login()
        headers = environment.authorization(login or login_of(settings.home, uri))
        if login is None and (token := variable("MLFLOW_TRACKING_TOKEN")):
            headers = {"Authorization": f"Bearer {token}"}
        private = f"{uri}/api/2.0/mlflow/experiments/search?max_results=1"
        yield from _check_server("mlflow", private, f"{uri}/version", headers)
    elif not uri.startswith(("sqlite", "postgresql", "mysql", "mssql")):
        raise UsageError(
            f"MLFLOW_TRACKING_URI is {uri!r}; MLflow no longer supports folders.",
            "Unset MLFLOW_TRACKING_URI, or set it to a server or a database.",
        )
    elif uri.startswith("sqlite") and not Path(uri.removeprefix("sqlite:///")).exists():
        yield _row("mlflow", f"{uri}, created by the first run")
    else:
        Home(settings).tracking.running()
        yield _row("mlflow", uri)


def check_prefect(settings: Settings) -> Iterator[DoctorCheck]:
    """Prefect's server and its workers."""
    url = live.lasting_api_url(settings)
    if not url:
        yield _row("prefect", "no server is configured or running: each run starts one")
        return
    login = environment.prefect_login() or login_of(settings.home, url)
    headers, private = environment.authorization(login), f"{url}/admin/version"
    yield from _check_server("prefect", private, private, headers)
    online = {pool: len(some) for pool, some in worker.online(url, headers).items()}
    if any(online.values()):
        text = ", ".join(f"{pool}: {count}" for pool, count in sorted(online.items()))
        yield _row("workers", text)
    else:
        text, fix = "none is online: scheduled runs wait", "headrace worker --pool cpu"
        yield _row("workers", text, "hint", fix)


def _check_server(
    package: str, private: str, version: str, headers: dict[str, str]
) -> Iterator[DoctorCheck]:
    """Check the login and the version of a server.

    Args:
        package: the package that it runs.
        private: the URL of a page that needs the login.
        version: that of the page with its version.
        headers: with the login, if there is one.

    Raises:
        UsageError: it does not accept the login.
        httpx.HTTPError: it does not answer.
    """
    url = "/".join(private.split("/")[:3])
    page = _get(private, headers)
    if page.status_code in {401, 403}:
        raise UsageError(
            f"{url} does not accept the login (status {page.status_code}).",
            f"Set {_LOGINS[package]} to those of the server.",
        )
    page.raise_for_status()
    yield _row(package, url)
    yield _compare(package, _get(version, headers).text.strip().strip('"'))


def _get(url: str, headers: dict[str, str]) -> httpx.Response:
    return httpx.get(url, headers=headers, timeout=5.0, follow_redirects=True)


def _compare(package: str, server: str) -> DoctorCheck:
    """A server's version against that of this machine."""
    client = metadata.version(package)
    theirs, ours = server.split("."), client.split(".")
    name, text = f"{package} version", f"server {server}, client {client}"
    if theirs[:2] == ours[:2]:
        return _row(name, text)
    state: State = "hint" if theirs[0] == ours[0] else "wrong"
    return _row(name, text, state, f"Install {package} {client} on the server.")


def check_versions(_: Settings) -> Iterator[DoctorCheck]:
    """The installed versions, for a report of a fault."""
    names = ("headrace", *_PACKAGES)
    text = ", ".join(f"{n} {metadata.version(n)}" for n in names)
    yield _row("versions", text)


CHECKS: dict[str, Callable[[Settings], Iterator[DoctorCheck]]] = {
    "home": check_home,
    "store": check_store,
    "ledger": check_ledger,
    "mlflow": check_mlflow,
    "prefect": check_prefect,
    "versions": check_versions,
}
