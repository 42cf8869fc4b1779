"""The ledger's database, SQLite or PostgreSQL: transactions and translated errors."""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from headrace.errors import (
    DependencyError,
    HeadraceError,
    IntegrityError,
    UsageError,
)
from headrace.state.disk import full_disk
from headrace.state.ledger.engines import is_out_of_room, make_engine
from headrace.state.ledger.schema import CHAIN, FORMAT, MARKER, METADATA

_LOCK = 0x48454144  # an arbitrary key of PostgreSQL's advisory lock for all writes
_PAUSE_SECONDS = 2.0
_DAMAGE = ("no such column", "no such table", "malformed")

Condition = sa.ColumnElement[bool]
Guard = Callable[[sa.Connection], None]
log = logging.getLogger("headrace")


def ledger_exists(url: str) -> bool:
    """Whether a database has a ledger; creates nothing.

    Raises:
        UsageError: the URL is not of a SQLite or PostgreSQL database.
        DependencyError: the database does not answer.
    """
    engine = make_engine(url, timeout_seconds=2.0, creates=False)
    if engine.dialect.name == "sqlite" and not Path(engine.url.database or "").exists():
        return False
    try:
        with engine.connect() as connection:
            return _format_of(connection) is not None
    except sa.exc.DBAPIError as error:
        raise _no_answer(engine, error) from error


def _no_answer(engine: sa.Engine, error: sa.exc.DBAPIError) -> DependencyError:
    return DependencyError(
        f"The ledger {engine.url.render_as_string(hide_password=True)} did not "
        f"answer: {_cause(error)}.",
        "It is safe to retry: run the same command again.",
    )


class _PerThread(threading.local):
    """The open transaction of this thread, which all that it reads is part of."""

    connection: sa.Connection | None = None


class Database:
    """Opens a connection for each call, so threads and processes may share it.

    Opening takes ten times as long as a query: `reading_once` opens one for many calls.

    Args:
        url: SQLAlchemy URL of a SQLite file or a PostgreSQL database.
        timeout_seconds: how long to wait for a lock or a connection.
        patience_seconds: how long to retry a server that does not answer.
        guard: raises an error at the start of each `adding` that must not be.
    """

    def __init__(
        self,
        url: str,
        timeout_seconds: float,
        patience_seconds: float = 0.0,
        guard: Guard | None = None,
    ) -> None:
        self._timeout_seconds = timeout_seconds
        self._patience_seconds = patience_seconds
        self._guard = guard
        self._per_thread = _PerThread()
        self._engine = make_engine(url, timeout_seconds)
        self.is_sqlite = self._engine.dialect.name == "sqlite"
        self.name = self._engine.url.render_as_string(hide_password=True)
        with self.reading() as connection:
            version = _format_of(connection)
        if version is None:
            version = self._create()
        if version != FORMAT:
            raise UsageError(
                f"The ledger {self.name} has format {version}; "
                f"this version reads format {FORMAT}.",
                "Use the Headrace that made it, or set another HEADRACE_DATABASE_URL.",
            )

    def rows(self, query: sa.Select[Any]) -> list[dict[str, Any]]:
        """The rows of a query, by column name."""
        with self.reading() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that only reads, all of it from the same moment."""
        if held := self._per_thread.connection:
            with self._translate_errors():
                yield held
        else:
            with self._transaction(writes=False) as connection:
                yield connection

    @contextlib.contextmanager
    def reading_once(self) -> Iterator[None]:
        """Have all that this thread reads in the block share one transaction.

        It ends early if this object writes, so that what it wrote is read. No process
        may be forked in the block. With PostgreSQL, where a transaction should not stay
        open for long, each read has its own as before.
        """
        if not self.is_sqlite or self._per_thread.connection is not None:
            yield
            return
        try:
            with self._translate_errors():
                self._per_thread.connection = self._connect()
                self._begin(self._per_thread.connection, writes=False)
            yield
        finally:
            self._let_go()

    def _let_go(self) -> None:
        held, self._per_thread.connection = self._per_thread.connection, None
        if held is not None:
            with contextlib.suppress(sa.exc.SQLAlchemyError):
                held.close()

    def writing(self) -> contextlib.AbstractContextManager[sa.Connection]:
        """A transaction that is committed at the end of the block."""
        self._let_go()
        return self._transaction(writes=True)

    @contextlib.contextmanager
    def adding(self) -> Iterator[sa.Connection]:
        """As `writing`, one at a time; this thread reads as a part of it."""
        with self.writing() as connection:
            self._lock(connection)
            if self._guard is not None:
                self._guard(connection)
            self._per_thread.connection = connection
            try:
                yield connection
            finally:
                self._per_thread.connection = None

    def _lock(self, connection: sa.Connection) -> None:
        if not self.is_sqlite:  # which has one writer only
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))

    def _create(self) -> int:
        if self.is_sqlite:
            self._use_write_ahead_log()
        with self.writing() as connection:
            self._lock(connection)
            if (version := _format_of(connection)) is not None:
                return version
            if {MARKER.name, CHAIN.name} & _tables_of(connection):
                raise self.damaged(f"its table {MARKER.name} is gone or empty")
            METADATA.create_all(connection, checkfirst=False)
            own = {"identity": uuid4().hex[:12], "secret": secrets.token_hex(32)}
            connection.execute(sa.insert(MARKER).values(format=FORMAT, **own))
            return FORMAT

    def _use_write_ahead_log(self) -> None:
        # SQLite does not always wait for the lock before this statement.
        deadline = time.monotonic() + self._timeout_seconds
        with self._translate_errors(), self._engine.connect() as connection:
            while True:
                try:
                    connection.exec_driver_sql("PRAGMA journal_mode = WAL")
                    return
                except sa.exc.OperationalError as error:
                    if "locked" not in str(error.orig) or time.monotonic() > deadline:
                        raise
                time.sleep(0.02)

    @contextlib.contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[sa.Connection]:
        with self._translate_errors(), self._connect() as connection:
            with self._begin(connection, writes=writes):
                yield connection

    def _begin(self, connection: sa.Connection, *, writes: bool) -> sa.RootTransaction:
        if self.is_sqlite:  # an upgrade of a transaction would not wait
            first = "BEGIN IMMEDIATE" if writes else "BEGIN"
        else:
            first = f"SET LOCAL lock_timeout = {int(1000 * self._timeout_seconds)}"
            if not writes:  # else each query sees what was added since the one before
                options = {"isolation_level": "REPEATABLE READ"}
                connection.execution_options(**options, postgresql_readonly=True)
        transaction = connection.begin()
        connection.exec_driver_sql(first)
        return transaction

    def _connect(self) -> sa.Connection:
        deadline = time.monotonic() + self._patience_seconds
        while True:
            try:
                return self._engine.connect()
            except sa.exc.OperationalError as error:
                if self.is_sqlite or time.monotonic() > deadline:
                    raise
                log.info("the ledger does not answer (%s); retrying", _cause(error))
            time.sleep(_PAUSE_SECONDS)

    @contextlib.contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except (json.JSONDecodeError, RecursionError) as error:
            raise self.damaged(f"a row is not valid JSON: {error}") from error
        except sa.exc.DBAPIError as error:
            raise self._translated(error) from error

    def _translated(self, error: sa.exc.DBAPIError) -> HeadraceError:
        cause = _cause(error)
        transient = (sa.exc.OperationalError, sa.exc.InterfaceError)
        is_transient = isinstance(error, transient)
        file = str(self._engine.url.database)
        if is_transient and self.is_sqlite and is_out_of_room(file, cause):
            return full_disk(f"the ledger {file}", file)
        if any(text in str(error.orig) for text in _DAMAGE):
            return self.damaged(cause)
        if is_transient:
            return _no_answer(self._engine, error)
        return UsageError(
            f"The database {self.name} cannot be used as a ledger: {cause}.",
            "Set HEADRACE_DATABASE_URL to a ledger, or restore this one.",
        )

    def damaged(self, what: str) -> IntegrityError:
        """The error for a ledger that is not as Headrace has written it."""
        return IntegrityError(
            f"The ledger {self.name} was damaged or changed: {what}.",
            "Run `headrace verify` for details. Restore the ledger from a backup, and "
            "check who can write to it.",
        )


def _cause(error: sa.exc.DBAPIError) -> str:
    return (str(error.orig).strip().splitlines() or ["no reason given"])[0].rstrip(".")


def _tables_of(connection: sa.Connection) -> set[str]:
    return set(sa.inspect(connection).get_table_names())


def _format_of(connection: sa.Connection) -> int | None:
    """The ledger's format; None without a ledger."""
    if MARKER.name not in _tables_of(connection):
        return None
    return connection.execute(sa.select(MARKER.c.format)).scalar()
