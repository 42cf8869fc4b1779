"""Importing MLflow, connecting to it, and translating its errors."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit

from headrace.errors import DependencyError, NotFoundError, UsageError
from headrace.home import make_private
from headrace.interrupts import deferred
from headrace.settings import Settings, variable
from headrace.state.logins import login_of
from headrace.state.store import full_disk, is_full
from headrace.state.templates import new_database
from headrace.state.tracking.relocation import follow_home
from headrace.state.tracking.retries import retry_connections
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
    """Import MLflow without telemetry, with few retries and a quiet log."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    # They log tracebacks of errors that are raised anyway or do not matter.
    for name in ("mlflow.store.db.utils", "mlflow.system_metrics"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return mlflow


@contextlib.contextmanager
def tracking_errors(uri: str) -> Iterator[None]:
    """Translate MLflow's errors in a block, and defer signals until it ends.

    An interrupt in a transaction would leave the database locked for later writes, such
    as the end of the run.
    """
    import requests
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with deferred(signal.SIGHUP, is_critical=True):
            yield
    except ModuleNotFoundError as error:
        raise UsageError(
            f"MLflow at {uri} needs the Python package {error.name!r}.",
            f"Install it in the environment of Headrace: pip install {error.name}.",
        ) from error
    except Exception as error:
        known = (MlflowException, requests.RequestException, SQLAlchemyError)
        if not (isinstance(error, known) or is_of_s3(error)):
            raise
        text = _first_line(error)
        if _is_disk_full(error, uri):
            where = uri.removeprefix("sqlite:///")
            raise full_disk(f"MLflow's database {where}", where) from error
        if "RESOURCE_DOES_NOT_EXIST" in str(getattr(error, "error_code", "")):
            raise NotFoundError(f"MLflow at {uri}: {text}.") from error
        if refusal(error):
            raise UsageError(
                f"The bucket of MLflow's artifacts refuses access: {refusal(error)}.",
                "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to keys that may "
                "list, read and write there, and check AWS_ENDPOINT_URL.",
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


def _is_disk_full(error: Exception, uri: str) -> bool:
    """Whether MLflow's SQLite file could not grow; SQLite may report an I/O error."""
    text, file = str(error), uri.removeprefix("sqlite:///")
    if file == uri:
        return False
    return "disk is full" in text or ("disk I/O error" in text and is_full(file))


def _first_line(error: Exception) -> str:
    """The first line of an error's message, without the name of a database driver."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return re.sub(r"^\([\w.]+\) ", "", lines[0]).rstrip(".")[:300]


def create_database(path: Path) -> None:
    """Create MLflow's database, unless it exists.

    Raises:
        OSError, SQLAlchemyError: it cannot be written.
    """
    new_database(path, "mlflow", _migrate)


def _migrate(path: Path) -> None:
    import_mlflow()
    from mlflow.store.tracking import sqlalchemy_store

    store_type: Any = sqlalchemy_store.SqlAlchemyStore
    # The root is of the experiment "Default"; a path would be that of this machine.
    with _without_fsync():
        store = store_type(f"sqlite:///{path}", "mlflow-artifacts:/")
    store.engine.dispose()


@contextlib.contextmanager
def _without_fsync() -> Iterator[None]:
    """SQLite connections that are opened in the block do not fsync.

    To fsync after each of hundreds of statements would take seconds.
    """
    from sqlalchemy import Engine, event

    def turn_off(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", turn_off)
    try:
        yield
    finally:
        event.remove(Engine, "connect", turn_off)


def _move_login_to_environment(uri: str) -> str:
    """The URI of a server without its login, which MLflow reads from the environment.

    MLflow's errors quote the URI, and errors are logged.
    """
    parts = urlsplit(uri)
    if parts.scheme not in {"http", "https"} or parts.username is None:
        return uri
    os.environ.setdefault("MLFLOW_TRACKING_USERNAME", unquote(parts.username))
    os.environ.setdefault("MLFLOW_TRACKING_PASSWORD", unquote(parts.password or ""))
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _use_home_login(uri: str, settings: Settings) -> None:
    """Log in to the home's own server, unless the environment has a login."""
    configured = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_TOKEN")
    if not uri.startswith("http") or any(map(variable, configured)):
        return
    login = login_of(settings.home, uri)
    if login is not None:
        os.environ["MLFLOW_TRACKING_USERNAME"] = login.user
        os.environ["MLFLOW_TRACKING_PASSWORD"] = login.password


_connecting = threading.Lock()  # connecting changes the process's environment


class Connection:
    """A connection to MLflow.

    Args:
        settings: with the ``tracking_uri``. If it is not a server, artifacts are
            stored in the home, or in the store if that is remote.
    """

    def __init__(self, settings: Settings) -> None:
        mlflow = import_mlflow()
        self.uri = _move_login_to_environment(settings.tracking_uri)
        self.home = settings.home.absolute()
        self.user = settings.user
        self.artifacts = settings.artifacts
        folder = self.home / "mlartifacts"
        if self.artifacts == folder.as_uri() and os.access(self.home, os.W_OK):
            make_private(folder)  # MLflow would make it readable by everyone
        _use_home_login(self.uri, settings)
        limit_s3(settings)
        with _connecting:
            self._connect(mlflow, settings)

    def _connect(self, mlflow: Any, settings: Settings) -> None:
        inherited = variable("MLFLOW_TRACKING_URI")
        try:
            with tracking_errors(self.uri):
                if self.uri == f"sqlite:///{self.home}/mlflow.db":
                    create_database(self.home / "mlflow.db")
                follow_home(settings)
                retry_connections(self.uri)
                mlflow.set_tracking_uri(self.uri)
                self.client: MlflowClient = mlflow.MlflowClient(self.uri)
        finally:
            if not inherited:  # MLflow has set it, which would affect other homes
                os.environ.pop("MLFLOW_TRACKING_URI", None)
