"""Importing MLflow, connecting to it, and what its failures mean."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit

from headrace.errors import DependencyError, NotFoundError, UsageError
from headrace.home import make_private, make_private_file
from headrace.interrupts import is_plain
from headrace.settings import Settings, variable
from headrace.state.logins import login_of
from headrace.state.store import fsync_path, full_disk, is_full
from headrace.state.tracking.once import outlast_restarts
from headrace.state.tracking.relocation import follow_home
from headrace.state.tracking.s3 import is_of_s3, limit_s3, refusal

if TYPE_CHECKING:
    from mlflow import MlflowClient

_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def import_mlflow() -> Any:
    """MLflow, its telemetry off, its retries few, and its log quiet."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    # They log, with SQL and a traceback, what is raised or of no matter.
    for name in ("mlflow.store.db.utils", "mlflow.system_metrics"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return mlflow


@contextlib.contextmanager
def tracking_errors(uri: str) -> Iterator[None]:
    """Turn MLflow's failures into errors that say what to do; a Ctrl-C waits for it."""
    import requests
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with _interrupted_later():
            yield
    except ModuleNotFoundError as error:
        raise UsageError(
            f"MLflow at {uri} needs the Python package {error.name!r}.",
            f"Install it beside Headrace: pip install {error.name}.",
        ) from error
    except Exception as error:
        known = (MlflowException, requests.RequestException, SQLAlchemyError)
        if not (isinstance(error, known) or is_of_s3(error)):
            raise
        text = _first_line(error)
        if _has_no_room(error, uri):
            where = uri.removeprefix("sqlite:///")
            raise full_disk(f"MLflow's database {where}", where) from error
        if "RESOURCE_DOES_NOT_EXIST" in str(getattr(error, "error_code", "")):
            raise NotFoundError(f"MLflow at {uri}: {text}.") from error
        if refusal(error):
            raise UsageError(
                f"The bucket of MLflow's artifacts refuses access: {refusal(error)}.",
                "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to keys that may "
                "list, read and write there, and AWS_ENDPOINT_URL to where it is.",
            ) from error
        if "out-of-date database schema" in str(error):
            raise DependencyError(
                f"The MLflow database {uri} was made by an older MLflow.",
                f"Back it up, then run: mlflow db upgrade {uri}",
            ) from error
        if "Max retries exceeded" in text:
            text = "it cannot be reached"
        raise DependencyError(
            f"MLflow at {uri} failed: {text}.",
            "Check that it is running, reachable and not locked, and run the same "
            "command again.",
            was_retried=uri.startswith("http"),
        ) from error


@contextlib.contextmanager
def _interrupted_later() -> Iterator[None]:
    """Keep a first Ctrl-C, SIGTERM or SIGHUP back until the block ends.

    In the middle of a transaction it would leave the database locked for all that is
    still to be written, such as the end of the run. Then it means what it meant before:
    Prefect, for one, tells a SIGTERM from a person's Ctrl-C.
    """
    if threading.current_thread() is not threading.main_thread() or not is_plain(
        signal.getsignal(signal.SIGINT)
    ):
        yield
        return
    came: list[tuple[int, FrameType | None]] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append((number, frame))
        if len(came) > 1:
            act(number, frame)

    def act(number: int, frame: FrameType | None) -> None:
        handler = handlers[number]
        signal.signal(number, handler)
        if callable(handler):
            handler(number, frame)
        else:
            signal.raise_signal(number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers: dict[int, Any] = {n: signal.signal(n, note) for n in numbers}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if len(came) == 1:
            act(*came[0])


def _has_no_room(error: Exception, uri: str) -> bool:
    """Whether MLflow's SQLite file could not grow; it may be called an I/O error."""
    if not uri.startswith("sqlite:///"):
        return False
    text = str(error)
    return "disk is full" in text or (
        "disk I/O error" in text and is_full(uri.removeprefix("sqlite:///"))
    )


def _first_line(error: Exception) -> str:
    """What an error says: of a database, without the driver's name and the SQL."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return re.sub(r"^\([\w.]+\) ", "", lines[0]).rstrip(".")[:300]


def _create_database(path: Path) -> None:
    """Make MLflow's database in the home, once and whole.

    Its migrations are many statements: two processes at once, or one that is killed,
    would leave a database that no later run can use. To wait for the disk after each
    would take seconds, and nothing of it counts until all of it is there.
    """
    if path.exists():
        return
    mlflow = import_mlflow()
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            return
        new = path.with_suffix(".new")
        new.unlink(missing_ok=True)
        make_private_file(new)
        with _without_waiting():
            mlflow.MlflowClient(f"sqlite:///{new}").search_experiments(max_results=1)
        fsync_path(new)
        new.replace(path)


@contextlib.contextmanager
def _without_waiting() -> Iterator[None]:
    """SQLite connections that are opened meanwhile do not wait for the disk."""
    from sqlalchemy import Engine, event

    def forget_the_disk(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", forget_the_disk)
    try:
        yield
    finally:
        event.remove(Engine, "connect", forget_the_disk)


def _without_password(uri: str) -> str:
    """The URI of a server without name and password, which MLflow finds elsewhere.

    MLflow's errors quote the URI, and what quotes them is kept in logs.
    """
    parts = urlsplit(uri)
    if parts.scheme not in {"http", "https"} or parts.username is None:
        return uri
    os.environ.setdefault("MLFLOW_TRACKING_USERNAME", unquote(parts.username))
    os.environ.setdefault("MLFLOW_TRACKING_PASSWORD", unquote(parts.password or ""))
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _enter(uri: str, settings: Settings) -> None:
    """Have MLflow's client show the home's login, where it is the home's own server.

    What the environment has wins.
    """
    taken = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_TOKEN")
    if not uri.startswith("http") or any(map(variable, taken)):
        return
    login = login_of(settings.home, uri)
    if login is not None:
        os.environ["MLFLOW_TRACKING_USERNAME"] = login.user
        os.environ["MLFLOW_TRACKING_PASSWORD"] = login.password


_connecting = threading.Lock()  # it passes through the environment, which is one


class Connection:
    """MLflow at one address.

    Args:
        settings: its ``tracking_uri``; where that is no server's, artifacts are kept
            in the home, or in the store if that is remote.
    """

    def __init__(self, settings: Settings) -> None:
        mlflow = import_mlflow()
        self.uri = _without_password(settings.tracking_uri)
        self.home = settings.home.absolute()
        self.user = settings.user
        self.artifacts = settings.artifacts
        folder = self.home / "mlartifacts"
        if self.artifacts == folder.as_uri() and os.access(self.home, os.W_OK):
            make_private(folder)  # MLflow would open it to everyone
        _enter(self.uri, settings)
        limit_s3(settings)
        with _connecting:
            self._connect(mlflow, settings)

    def _connect(self, mlflow: Any, settings: Settings) -> None:
        inherited = variable("MLFLOW_TRACKING_URI")
        try:
            with tracking_errors(self.uri):
                if self.uri == f"sqlite:///{self.home}/mlflow.db":
                    _create_database(self.home / "mlflow.db")
                follow_home(settings)
                outlast_restarts(self.uri)
                mlflow.set_tracking_uri(self.uri)
                self.client: MlflowClient = mlflow.MlflowClient(self.uri)
        finally:
            if not inherited:  # MLflow sets it, and other homes would follow it
                os.environ.pop("MLFLOW_TRACKING_URI", None)
