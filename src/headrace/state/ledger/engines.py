"""Engines for the databases that can hold the ledger.

Only its owner can access a SQLite file. SQLite needs further files beside it for its
write-ahead log, but a read-only ledger can be read without them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from headrace.errors import UsageError
from headrace.settings.home import make_private_file
from headrace.state.disk import full_disk, is_full
from headrace.state.ledger.schema import as_text

_SQLITE = ("sqlite", "sqlite+pysqlite")
_POSTGRESQL = ("postgresql", "postgresql+psycopg2")
# Else libpq waits for hours for an answer that a cut has lost: 15 seconds.
_KEPT_ALIVE = {
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 15_000,
}


def make_engine(url: str, timeout_seconds: float, *, creates: bool = True) -> sa.Engine:
    """The engine of a URL; it does not connect yet.

    Args:
        url: of the database.
        timeout_seconds: how long to wait for a lock or a connection.
        creates: whether to create the file of SQLite, so that it is private.

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
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg2")
    is_sqlite = parsed.drivername in _SQLITE
    if is_sqlite and parsed.database in {None, "", ":memory:"}:
        raise UsageError(
            "HEADRACE_DATABASE_URL is a database in memory, which others cannot see.",
            "Name a file: sqlite:////path/headrace.db.",
        )
    file = Path(str(parsed.database))
    # Without an isolation level, only SQLAlchemy begins transactions.
    arguments: dict[str, Any] = {"timeout": timeout_seconds, "isolation_level": None}
    if not is_sqlite:
        arguments = {"connect_timeout": max(2, round(timeout_seconds)), **_KEPT_ALIVE}
    options: dict[str, Any] = {"connect_args": arguments, "json_serializer": as_text}
    is_plain = is_sqlite and not parsed.query  # such as mode=ro
    if is_plain and creates and not is_read_only(file):
        _make_file_private(file)
    try:
        engine = sa.create_engine(parsed, poolclass=sa.NullPool, **options)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"HEADRACE_DATABASE_URL needs the Python package {error.name!r}.",
            f"Install it in the environment of Headrace: pip install {error.name}.",
        ) from None
    if is_sqlite:
        sa.event.listen(engine, "connect", _read_leniently)
    if is_plain:
        reading = partial(_connect_reading, file, timeout_seconds)
        sa.event.listen(engine, "do_connect", lambda *_: reading())
    return engine


def _read_leniently(connection: sqlite3.Connection, _: object) -> None:
    """Read damaged text as well, so that walking the chain names its row."""
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")


def is_out_of_room(file: str, reason: str) -> bool:
    """Whether a SQLite error means that the disk is full.

    Args:
        file: the database.
        reason: SQLite's message; for a full disk it may be an I/O error, or that a
            connection only reads.
    """
    if "disk I/O error" in reason or "readonly database" in reason:
        return is_full(file)
    return "disk is full" in reason


def _connect_reading(file: Path, timeout_seconds: float) -> sqlite3.Connection | None:
    """A connection where the files beside the database cannot be made; else None.

    It only reads the file itself, unless a log beside it has more.
    """
    if not (is_read_only(file) or (file.is_file() and is_full(str(file)))):
        return None
    log_beside = file.with_name(f"{file.name}-wal")
    has_more = log_beside.is_file() and log_beside.stat().st_size
    for options in ("rw", "ro") if has_more else ("rw", "ro", "ro&immutable=1"):
        connection = sqlite3.connect(
            f"file:{quote(str(file.absolute()))}?mode={options}",
            uri=True,
            timeout=timeout_seconds,
            isolation_level=None,
            check_same_thread=False,
        )
        with contextlib.suppress(sqlite3.OperationalError):
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            return connection
        connection.close()
    return None


def _make_file_private(file: Path) -> None:
    """Create the file if needed, as a private one; further ones are made alike."""
    try:
        make_private_file(file)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise full_disk(f"the ledger {file}", str(file.parent)) from None
        # It belongs to another user, or its folder is missing: SQLite reports that.


def is_read_only(file: Path) -> bool:
    """Whether the file exists and cannot be written."""
    if not file.is_file():
        return False
    return not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK))
