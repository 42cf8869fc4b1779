"""Importing MLflow, connecting to it and to S3, and translating their errors.

The absolute URIs of artifacts in MLflow's database are rewritten when a home is moved.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import importlib
import logging
import os
import re
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit

import sqlalchemy as sa

from headrace.errors import DependencyError, HeadraceError, NotFoundError, UsageError
from headrace.settings import Settings, variable
from headrace.settings.home import make_private
from headrace.state.disk import disk_error, full_disk
from headrace.state.interrupts import deferred
from headrace.state.ledger.engines import is_out_of_room, is_read_only
from headrace.state.logins import Login, login_of
from headrace.state.templates import new_database
from headrace.state.tracking.retries import retry_connections

if TYPE_CHECKING:
    from mlflow import MlflowClient

_FULL = os.strerror(errno.ENOSPC)
_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL": "1",
    # Of a request to S3 without a server of MLflow; each may take a minute.
    "AWS_RETRY_MODE": "standard",
    "AWS_MAX_ATTEMPTS": "2",
    # A server would hand out URLs of its object store, which clients may not reach.
    "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
    "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
}
# Signs of a fault in an error of MLflow, and what is raised: kind, message and action.
_FAULTS: list[tuple[str, type[HeadraceError], str, str]] = [
    (
        "AccessDenied|ExpiredToken|InvalidAccessKeyId|NoSuchBucket"
        "|SignatureDoesNotMatch|Unable to locate credentials",
        UsageError,
        "The bucket of MLflow's artifacts refuses access: {sign}.",
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to keys that may list, read "
        "and write there, and check AWS_ENDPOINT_URL.",
    ),
    (
        "out-of-date database schema",
        DependencyError,
        "The MLflow database {uri} was made by an older MLflow.",
        "Back it up, then run: mlflow db upgrade {uri}",
    ),
    (
        "Could not parse SQLAlchemy URL",
        UsageError,
        "MLFLOW_TRACKING_URI is '{uri}', which is no URI of MLflow's.",
        "Give http://HOST:PORT, or sqlite:////FOLDER/mlflow.db.",
    ),
    (
        "malformed|file is not a database",
        DependencyError,
        "MLflow at {uri} failed: {text}.",
        "Restore that file from a backup. If there is none, move it away: champions go "
        "on working from the ledger and their files.",
    ),
]
_URI_COLUMNS = {  # of artifacts, by table
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
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


def import_all() -> None:
    """Import also what MLflow imports at its first use, and fill its caches."""
    import_mlflow()
    import mlflow.store.tracking.sqlalchemy_store
    import mlflow.tracing.processor.base_mlflow

    with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        mlflow.pyfunc.save_model(
            f"{folder}/model", loader_module="headrace", pip_requirements=["headrace"]
        )


@contextlib.contextmanager
def tracking_errors(uri: str) -> Iterator[None]:
    """Translate MLflow's errors in a block, and defer signals until it ends.

    An interrupt in a transaction would leave the database locked for later writes, such
    as the end of the run.
    """
    import_mlflow()
    import requests
    from mlflow.exceptions import MlflowException

    try:
        with deferred(signal.SIGHUP, is_critical=True):
            yield
    except ModuleNotFoundError as error:
        raise UsageError(
            f"MLflow at {uri} needs the Python package {error.name!r}.",
            f"Install it in the environment of Headrace: pip install {error.name}.",
        ) from error
    except Exception as error:
        expected = (MlflowException, requests.RequestException, sa.exc.SQLAlchemyError)
        is_of_s3 = type(error).__module__.partition(".")[0] in {"boto3", "botocore"}
        if not (isinstance(error, expected) or is_of_s3):
            raise
        lines = str(error).strip().splitlines() or [type(error).__name__]
        text = re.sub(r"^\([\w.]+\) ", "", lines[0]).rstrip(".")[:300]  # no driver
        file = uri.removeprefix("sqlite:///")
        if file != uri and is_out_of_room(file, str(error)):
            raise full_disk(f"MLflow's database {file}", file) from error
        if _FULL in str(error) and not uri.startswith("http"):
            raise disk_error(OSError(errno.ENOSPC, _FULL), file) or error from error
        if "RESOURCE_DOES_NOT_EXIST" in str(getattr(error, "error_code", "")):
            raise NotFoundError(f"MLflow at {uri}: {text}.") from error
        for signs, kind, message, action in _FAULTS:
            if sign := re.search(signs, str(error)):
                what = message.format(uri=uri, sign=sign.group(), text=text)
                raise kind(what, action.format(uri=uri)) from error
        if "Max retries exceeded" in text:
            text = "it cannot be reached"
        raise DependencyError(
            f"MLflow at {uri} failed: {text}.",
            "Check that it is running, reachable and not locked, and run the same "
            "command again.",
            was_retried=uri.startswith("http"),
        ) from error


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
        store_type(f"sqlite:///{path}", "mlflow-artifacts:/").engine.dispose()


@contextlib.contextmanager
def _without_fsync() -> Iterator[None]:
    """SQLite connections that are opened in the block do not fsync.

    To fsync after each of hundreds of statements would take seconds.
    """

    def turn_off(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA synchronous = OFF")

    sa.event.listen(sa.Engine, "connect", turn_off)
    try:
        yield
    finally:
        sa.event.remove(sa.Engine, "connect", turn_off)


def _log_in(uri: str, settings: Settings) -> str:
    """The URI of a server without its login, which is noted for its requests.

    MLflow's errors quote the URI, and errors are logged. Without a login in the URI or
    the environment, that of the home is used for the home's own server. None is put
    into the environment, which other servers' clients and children would read.
    """
    parts = urlsplit(uri)
    if parts.scheme not in {"http", "https"}:
        return uri
    login = None
    if parts.username is not None:
        login = Login(unquote(parts.username), unquote(parts.password or ""))
        parts = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    elif not any(map(variable, ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_TOKEN"))):
        login = login_of(settings.home, uri)
    if login is not None:
        _send_own_logins()
        _logins[parts[:2]] = login
    return urlunsplit(parts)


_logins: dict[tuple[str, ...], Login] = {}  # by scheme, host and port of a server


@functools.cache
def _send_own_logins() -> None:
    """Patch MLflow to send a server its own login; it knows one for all servers."""
    credentials: Any = importlib.import_module("mlflow.utils.credentials")
    make = credentials.MlflowHostCreds

    def with_own_login(host: str, **others: Any) -> Any:
        if login := _logins.get(urlsplit(host)[:2]):
            own = {"username": login.user, "password": login.password, "token": None}
            others |= own
        return make(host, **others)

    setattr(credentials, "MlflowHostCreds", with_own_login)  # noqa: B010


def follow_home(settings: Settings) -> None:
    """Create the home's own SQLite database; rewrite artifact URIs in an own one.

    The URIs are absolute, and the home may have been moved.
    """
    uri, artifacts = settings.tracking_uri, settings.artifacts
    if uri == f"sqlite:///{(own := settings.home.absolute() / 'mlflow.db')}":
        create_database(own)
    file = Path(uri.removeprefix("sqlite:///"))
    is_own = uri == settings.home_tracking_uri and artifacts.startswith("file:")
    is_sqlite = uri.startswith("sqlite:///")
    if not is_own or (is_sqlite and (not file.is_file() or is_read_only(file))):
        return
    with sa.create_engine(uri, poolclass=sa.NullPool).begin() as connection:
        if not sa.inspect(connection).has_table("experiments"):
            return
        query = sa.text("SELECT name, artifact_location FROM experiments")
        places = connection.execute(query)
        roots = {str(place).removesuffix(f"/{name}") for name, place in places}
        for root in roots - {artifacts}:
            if root.startswith("file:") and root.endswith("/mlartifacts"):
                relocate(connection, root, artifacts)


def relocate(connection: sa.Connection, old: str, new: str) -> None:
    """Replace the root of all artifact URIs in MLflow's database."""
    for table, column in _URI_COLUMNS.items():
        rest = f"substr({column}, {len(old) + 1})"
        statement = (
            f"UPDATE {table} SET {column} = :new || {rest} "  # noqa: S608
            f"WHERE substr({column}, 1, {len(old) + 1}) = :old"
        )
        connection.execute(sa.text(statement), {"new": new, "old": f"{old}/"})


_connecting = threading.Lock()  # connecting changes the process's environment


class Connection:
    """MLflow at the tracking URI of the settings, which is reached at its first use.

    Args:
        settings: with the ``tracking_uri``. If it is not a server, artifacts are
            stored in the home, or in the store if that is remote.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.user, self.artifacts = settings.user, settings.artifacts

    @functools.cached_property
    def uri(self) -> str:
        """Of MLflow, without a login."""
        return _log_in(self._settings.tracking_uri, self._settings)

    @functools.cached_property
    def client(self) -> MlflowClient:
        """MLflow's client.

        Raises:
            UsageError, DependencyError: MLflow cannot be used.
        """
        mlflow, home = import_mlflow(), self._settings.home.resolve()
        folder = home / "mlartifacts"
        if self.artifacts == folder.as_uri() and os.access(home, os.W_OK):
            make_private(folder)  # MLflow would make it readable by everyone
        inherited = variable("MLFLOW_TRACKING_URI")
        with _connecting, tracking_errors(self.uri):
            try:
                follow_home(self._settings)
                retry_connections(self.uri)
                mlflow.set_tracking_uri(self.uri)
                client: MlflowClient = mlflow.MlflowClient(self.uri)
                return client
            finally:
                if not inherited:  # MLflow has set it, which would affect other homes
                    os.environ.pop("MLFLOW_TRACKING_URI", None)
