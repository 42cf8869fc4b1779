"""Which databases can hold the ledger, and how they are connected to.

A SQLite file is its owner's alone, and can be read where it is read-only. SQLite keeps
it with a write-ahead log, for which it wants to make files beside it.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import sqlite3
import stat
import tempfile
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from headrace.errors import UsageError
from headrace.home import PRIVATE_FILE, make_private_file

_SQLITE = ("sqlite", "sqlite+pysqlite")
_POSTGRESQL = ("postgresql", "postgresql+psycopg", "postgresql+psycopg2")

log = logging.getLogger("headrace")


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
        options = {"connect_args": _sqlite_arguments(timeout_seconds)}
    else:
        options = _sqlite_options(Path(str(parsed.database)), timeout_seconds)
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


def _sqlite_options(file: Path, timeout_seconds: float) -> dict[str, Any]:
    """How SQLAlchemy is to open the file: for reading alone where it must.

    Raises:
        DependencyError: the disk is full.
    """
    if is_read_only(file):
        return {"creator": partial(_connect, file, timeout_seconds)}
    _keep_from_others(file)
    return {"connect_args": _sqlite_arguments(timeout_seconds)}


def _sqlite_arguments(timeout_seconds: float) -> dict[str, Any]:
    """The arguments of each connection: SQLAlchemy's, not Python's, begin of it."""
    return {"timeout": timeout_seconds, "isolation_level": None}


def check_room(file: str, reason: str) -> None:
    """Say of a file that could not grow that the disk is full.

    Args:
        file: the ledger.
        reason: why SQLite failed; it may call a full disk an I/O error.

    Raises:
        DependencyError: it is full.
    """
    from headrace.state.store import full_disk, is_full

    if "is full" in reason or ("I/O" in reason and is_full(file)):
        raise full_disk(f"the ledger {file}", file)


def _keep_from_others(file: Path) -> None:
    """Make it a file that only its owner can read; what SQLite adds follows it."""
    try:
        make_private_file(file)
        for suffix in ("", "-wal", "-shm", "-journal"):
            _close_to_others(file.with_name(f"{file.name}{suffix}"))
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            from headrace.state.store import full_disk

            raise full_disk(f"the ledger {file}", str(file.parent)) from None
        # It is another's, or its folder is missing: SQLite says what comes of that.


def _close_to_others(file: Path) -> None:
    mode = stat.S_IMODE(file.stat().st_mode) if file.exists() else PRIVATE_FILE
    if mode & 0o077:
        file.chmod(PRIVATE_FILE)
        log.warning(
            "%s could be read by others (mode %04o): now it cannot.", file, mode
        )


def is_read_only(file: Path) -> bool:
    """Whether it is there, and cannot be written."""
    if not file.is_file():
        return False
    return not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK))


def _connect(path: Path, timeout_seconds: float) -> sqlite3.Connection:
    """A connection that reads; a write in it fails.

    Raises:
        sqlite3.OperationalError: it cannot be read.
    """
    try:
        return _opened(path, "mode=ro", timeout_seconds)
    except sqlite3.OperationalError:
        if not _has_waiting_writes(path):
            return _opened(path, "mode=ro&immutable=1", timeout_seconds)
    return _copied(path)


def _opened(path: Path, options: str, timeout_seconds: float) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?{options}",
        uri=True,
        timeout=timeout_seconds,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _has_waiting_writes(path: Path) -> bool:
    log = path.with_name(f"{path.name}-wal")
    return log.is_file() and log.stat().st_size > 0


def _copied(path: Path) -> sqlite3.Connection:
    """Its content in memory, with what a process that was killed had written last."""
    memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        for suffix in ("", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(f"{path}{suffix}", f"{folder}/ledger.db{suffix}")
        copy = sqlite3.connect(f"{folder}/ledger.db")
        with contextlib.closing(copy):
            copy.backup(memory)
    memory.execute("PRAGMA query_only = ON")
    return memory
