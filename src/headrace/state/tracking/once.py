"""Things are made once in MLflow, however often the making is tried.

MLflow's own retries send a request again whose answer was lost, and a run or a version
would be there twice. So what makes something is sent without them, and looked for
before it is sent again. A database that MLflow itself talks to is waited for while it
is started again.
"""

from __future__ import annotations

import functools
import os
import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

from headrace.settings import keeping

_RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
_PAUSES = (1.0, 4.0, 10.0)
PATIENCE_SECONDS = 60.0

T = TypeVar("T")


def make_once(uri: str, make: Callable[[], T], find: Callable[[], T | None]) -> T:
    """What ``make`` makes; raises what it raises.

    Args:
        uri: of MLflow; where it is no server's, no answer is lost.
        make: makes it, by one request.
        find: finds it, if it is there.
    """
    from mlflow.exceptions import MlflowException, RestException

    if not uri.startswith("http"):
        return make()
    for pause in _PAUSES:
        try:
            return _without_retries(make)
        except RestException:
            raise  # an answer: it was not made
        except MlflowException:
            time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311
            found = find()
            if found is not None:
                return found
    return _without_retries(make)


def _without_retries(make: Callable[[], T]) -> T:
    with keeping(_RETRIES):
        os.environ[_RETRIES] = "0"
        return make()


@functools.cache
def outlast_restarts(uri: str) -> None:
    """Have connections to a database server wait while it is started again.

    One that has not been there before is told of at once.
    """
    if uri.startswith(("http", "sqlite", "file")):
        return
    import sqlalchemy as sa

    url, was_there = sa.make_url(uri), False

    def connect(dialect: Any, _record: Any, args: Any, named: dict[str, Any]) -> Any:
        nonlocal was_there
        is_kind = dialect.name == url.get_backend_name()
        if not is_kind or named != dialect.create_connect_args(url)[1]:
            return None  # to another database, in the usual way
        limit = time.monotonic() + (PATIENCE_SECONDS if was_there else 0)
        while True:
            try:
                made = dialect.connect(*args, **named)
            except dialect.loaded_dbapi.OperationalError:
                if time.monotonic() >= limit:
                    raise
                time.sleep(1)
            else:
                was_there = True
                return made

    sa.event.listen(sa.Engine, "do_connect", connect)


def repeat(work: Callable[[], T]) -> T:
    """What ``work`` gives; a second time where the database was lost in the middle."""
    from mlflow.exceptions import MlflowException

    try:
        return work()
    except MlflowException as error:
        if error.error_code != "TEMPORARILY_UNAVAILABLE":
            raise
        return work()
