"""Which databases can hold the ledger, and how they are connected to."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from headrace.errors import UsageError

_SQLITE = ("sqlite", "sqlite+pysqlite")
_POSTGRESQL = ("postgresql", "postgresql+psycopg", "postgresql+psycopg2")
_PRIVATE = 0o600

log = logging.getLogger("headrace")


def make_engine(url: str, timeout_seconds: float) -> sa.Engine:
    """The engine of a URL; it connects when it is asked to.

    Raises:
        UsageError: the URL is not one of a SQLite file or a PostgreSQL database.
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
    options: dict[str, Any] = (
        {"timeout": timeout_seconds, "isolation_level": None}
        if is_sqlite
        else {"connect_timeout": max(2, round(timeout_seconds))}
    )
    try:
        engine = sa.create_engine(parsed, poolclass=sa.NullPool, connect_args=options)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"HEADRACE_DATABASE_URL needs the Python package {error.name!r}.",
            f"Install it beside Headrace: pip install {error.name}.",
        ) from None
    if is_sqlite:
        sa.event.listen(engine, "connect", _enforce_foreign_keys)
    return engine


def keep_private(path: Path) -> None:
    """Have the file, and those that SQLite keeps beside it, readable by us alone."""
    with contextlib.suppress(OSError):  # what cannot be made or changed is told later
        os.close(os.open(path, os.O_CREAT | os.O_RDONLY, _PRIVATE))
    for suffix in ("", "-wal", "-shm", "-journal"):
        file = path.with_name(path.name + suffix)
        with contextlib.suppress(OSError):
            mode = stat.S_IMODE(file.stat().st_mode)
            if mode & ~_PRIVATE:
                file.chmod(_PRIVATE)
                log.warning(
                    "%s could be read by others (mode %04o): now it cannot.", file, mode
                )


def _enforce_foreign_keys(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
