"""Safe retries: of requests that create something in MLflow, and of its database.

MLflow's own retries repeat a request whose response was lost, which would create a run
or a version twice. So such a request is sent without them, and a retry first searches
for the result. Connections to MLflow's database outlast its restart.
"""

from __future__ import annotations

import functools
import os
import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

from headrace.settings import restore_variables

_RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
_PAUSES = (1.0, 4.0, 10.0)
PATIENCE_SECONDS = 60.0

T = TypeVar("T")


def create_once(uri: str, make: Callable[[], T], find: Callable[[], T | None]) -> T:
    """Create something idempotently.

    Args:
        uri: of MLflow. Without a server, no response can be lost.
        make: creates it by one request; its errors are raised.
        find: returns it if it exists.
    """
    from mlflow.exceptions import MlflowException, RestException

    if not uri.startswith("http"):
        return make()
    for pause in _PAUSES:
        try:
            return _without_retries(make)
        except RestException:
            raise  # a response: it was not created
        except MlflowException:
            time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311
            if (existing := find()) is not None:
                return existing
    return _without_retries(make)


def _without_retries(make: Callable[[], T]) -> T:
    with restore_variables(_RETRIES):
        os.environ[_RETRIES] = "0"
        return make()


@functools.cache
def retry_connections(uri: str) -> None:
    """Retry connections to a database server that has answered before.

    The first connection is not retried.
    """
    if uri.startswith(("http", "sqlite", "file")):
        return
    import sqlalchemy as sa

    url, was_there = sa.make_url(uri), False

    def connect(dialect: Any, _record: Any, args: Any, named: dict[str, Any]) -> Any:
        nonlocal was_there
        same_dialect = dialect.name == url.get_backend_name()
        if not same_dialect or named != dialect.create_connect_args(url)[1]:
            return None  # SQLAlchemy then connects to this other database itself
        limit = time.monotonic() + (PATIENCE_SECONDS if was_there else 0)
        while True:
            try:
                connection = dialect.connect(*args, **named)
            except dialect.loaded_dbapi.OperationalError:
                if time.monotonic() >= limit:
                    raise
                time.sleep(1)
            else:
                was_there = True
                return connection

    sa.event.listen(sa.Engine, "do_connect", connect)


def retry_once(call: Callable[[], T]) -> T:
    """The result of a call, which is repeated once if the database was lost."""
    try:
        return call()
    except Exception as error:
        if not _is_lost(error):
            raise
        return call()


def _is_lost(error: BaseException | None) -> bool:
    """Whether the database was lost: MLflow has several codes, or SQLAlchemy's error.

    Which of them depends on the statement that was under way.
    """
    if getattr(error, "error_code", "") == "TEMPORARILY_UNAVAILABLE":
        return True
    while error and not getattr(error, "connection_invalidated", False):
        error = error.__cause__ or error.__context__
    return error is not None
