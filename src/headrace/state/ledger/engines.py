"""Which databases can hold the ledger, and how they are connected to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from headrace.errors import UsageError
from headrace.state.ledger.files import sqlite_arguments, sqlite_options

_SQLITE = ("sqlite", "sqlite+pysqlite")
_POSTGRESQL = ("postgresql", "postgresql+psycopg", "postgresql+psycopg2")


def make_engine(url: str, timeout_seconds: float) -> sa.Engine:
    """The engine of a URL; it connects when it is asked to.

    Raises:
        UsageError: the URL is not one of a SQLite file or a PostgreSQL database.
        DependencyError: the disk is full.
    """
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise UsageError(
            "HEADRACE_DATABASE_URL is not a database URL.",
            "Write it as sqlite:////path/headrace.db or postgresql://user@host/name.",
        ) from None
    if parsed.drivername not in _SQLITE + _POSTGRESQL:
        raise UsageError(
            f"HEADRACE_DATABASE_URL names {parsed.drivername!r}; expected one of "
            f"{', '.join(_SQLITE + _POSTGRESQL)}.",
            "Use one of them.",
        )
    if parsed.drivername == "postgresql":  # the driver that is installed with Headrace
        parsed = parsed.set(drivername="postgresql+psycopg2")
    is_sqlite = parsed.drivername in _SQLITE
    if is_sqlite and parsed.database in {None, "", ":memory:"}:
        raise UsageError(
            "HEADRACE_DATABASE_URL is a database in memory, which no one else sees.",
            "Name a file: sqlite:////path/headrace.db.",
        )
    options: dict[str, Any]
    if not is_sqlite:
        options = {"connect_args": {"connect_timeout": max(2, round(timeout_seconds))}}
    elif parsed.query:  # such as one that is only to be read
        options = {"connect_args": sqlite_arguments(timeout_seconds)}
    else:
        options = sqlite_options(Path(str(parsed.database)), timeout_seconds)
    try:
        engine = sa.create_engine(parsed, poolclass=sa.NullPool, **options)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"HEADRACE_DATABASE_URL needs the Python package {error.name!r}.",
            f"Install it beside Headrace: pip install {error.name}.",
        ) from None
    if is_sqlite:
        sa.event.listen(engine, "connect", _enforce_foreign_keys)
    return engine


def _enforce_foreign_keys(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
