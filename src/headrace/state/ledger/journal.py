"""The events of one ledger: added at its end, read by kind, checked as a chain."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from headrace.state.ledger.chain import (
    Appender,
    ChainReport,
    walk,
)
from headrace.state.ledger.database import Condition, Database
from headrace.state.ledger.events import EVENTS, Event
from headrace.state.ledger.leases import (
    PATIENCE_SECONDS,
    Lease,
    fence,
)

TIMEOUT_SECONDS = 30.0  # for a lock or a connection

E = TypeVar("E", bound=Event)


class Journal:
    """The events in one database; threads and processes may share it.

    Args:
        url: SQLAlchemy URL of a SQLite file or a PostgreSQL database.
        lease: of the run that writes, which waits while a server restarts; a person's
            commands have none.

    Raises:
        UsageError: the URL is not of such a database, or the database is not a
            ledger of this version.
        DependencyError: the database is locked, full, read-only or unreachable,
            or another run has taken over the lease. Every method raises it.
    """

    def __init__(self, url: str, lease: Lease | None = None) -> None:
        patience = PATIENCE_SECONDS if lease else 0.0
        self._database = Database(url, TIMEOUT_SECONDS, patience)
        self._guard = fence(lease) if lease else None

    def reading_once(self) -> contextlib.AbstractContextManager[None]:
        """See `Database.reading_once`."""
        return self._database.reading_once()

    def check_lease(self) -> None:
        """Raise DependencyError if another run has taken over the lease."""
        with self._adding():
            pass

    def walk_chain(self, wanted: Collection[str] = ()) -> ChainReport:
        """Check every row against the chain; see `chain.walk`."""
        with self._database.reading() as connection:
            return walk(connection, wanted)

    def head(self) -> str:
        """The last link of the chain; empty if there is no row."""
        query = sa.select(EVENTS.c.link).order_by(EVENTS.c.number.desc()).limit(1)
        return next((str(row["link"]) for row in self._database.rows(query)), "")

    @contextlib.contextmanager
    def _adding(self) -> Iterator[Appender]:
        """A transaction that adds events, all or none."""
        with self._database.locking() as connection:  # the first lock: no deadlock
            if self._guard is not None:
                self._guard(connection)
            yield Appender(connection)

    def _add(self, event: E) -> E:
        """Add one event; raises SQLAlchemy's IntegrityError if there is such a row."""
        with self._adding() as rows:
            return rows.add(event)

    def _read(
        self, kinds: Sequence[type[Event]], *where: Condition, last: bool = False
    ) -> list[Any]:
        """The events of some kinds, in the order in which they were added.

        Args:
            kinds: as which they are read.
            where: further conditions.
            last: whether only the last one is read.
        """
        by_name, number = {kind.KIND: kind for kind in kinds}, EVENTS.c.number
        query = sa.select(EVENTS).where(EVENTS.c.kind.in_(by_name), *where)
        query = query.order_by(number.desc() if last else number)
        rows = self._database.rows(query.limit(1) if last else query)
        try:
            return [by_name[row["kind"]].of(row) for row in rows]
        except (TypeError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise self._database.damaged(f"a row has another form: {reason}") from error

    def _all(self, kind: type[E], *where: Condition) -> list[E]:
        """The events of one kind."""
        return self._read([kind], *where)

    def _last(self, kind: type[E], *where: Condition) -> E | None:
        """The event of a kind that was added last; None if there is none."""
        return next(iter(self._read([kind], *where, last=True)), None)


def about(model: str, subject: Any = None) -> Condition:
    """That a row is about a model, and a subject if one is given."""
    own = EVENTS.c.model == model
    return own if subject is None else own & (EVENTS.c.subject == str(subject))
