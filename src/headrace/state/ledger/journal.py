"""The events of one ledger: added at its end, read by kind, checked as a chain."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from headrace.state.ledger.chain import (
    Appender,
    ChainReport,
    find_wrong_row,
    walk,
)
from headrace.state.ledger.database import Condition, Database, tables_of
from headrace.state.ledger.events import EVENTS, Event
from headrace.state.ledger.leases import (
    LEASES,
    PATIENCE_SECONDS,
    Lease,
    fence,
    newest,
    now_of,
)
from headrace.state.ledger.signatures import (
    SignatureReport,
    SignedLink,
    check,
    key_for,
    lacks_key,
    last_signed,
)
from headrace.state.signing.keys import TrustedKeys

TIMEOUT_SECONDS = 30.0  # for a lock or a connection

E = TypeVar("E", bound=Event)


class Journal:
    """The events in one database; threads and processes may share it.

    Args:
        url: SQLAlchemy URL of a SQLite file or a PostgreSQL database.
        lease: of the run that writes, which waits while a server restarts; a person's
            commands have none.
        store: URI of the one beside it, which is asked before a first signature; by
            default that of the settings.

    Raises:
        UsageError: the URL is not of such a database, or the database is not a
            ledger of this version.
        DependencyError: the database is locked, full, read-only or unreachable,
            or another run has taken over the lease. Every method raises it.
    """

    def __init__(self, url: str, lease: Lease | None = None, store: str = "") -> None:
        patience = PATIENCE_SECONDS if lease else 0.0
        self._database = Database(url, TIMEOUT_SECONDS, patience)
        self._guard = fence(lease) if lease else None
        self._store = store

    def reading_once(self) -> contextlib.AbstractContextManager[None]:
        """See `Database.reading_once`."""
        return self._database.reading_once()

    def check_lease(self) -> None:
        """Raise DependencyError if another run has taken over the lease."""
        with self._adding():
            pass

    def is_held(self, name: str) -> bool:
        """Whether a live process holds a lease in the ledger's database."""
        with self._database.reading() as connection:
            if LEASES.name not in tables_of(connection):
                return False
            lease = newest(connection, name)
            return lease is not None and lease.is_alive(now_of(connection))

    def walk_chain(
        self, link: str = "", since: ChainReport | None = None
    ) -> ChainReport:
        """Check every row against the chain; see `chain.walk`."""
        with self._database.reading() as connection:
            return walk(connection, link, since)

    def require_written(
        self, model: str, version: int, entry: int | None = None
    ) -> None:
        """Refuse a version of a model whose rows are not as they were written.

        Args:
            entry: the promotion that counts; 0: none does; None: all do.

        Raises:
            IntegrityError: names the row, and the command that repairs it.
        """
        kind, promotion = EVENTS.c.kind, EVENTS.c.kind == "entry"
        if entry is not None:
            promotion &= EVENTS.c.step == entry
        own = kind.in_(("version", "binding")) & about(model, version)
        with self._database.reading() as connection:
            problem = find_wrong_row(connection, model, promotion | own)
        if problem:
            raise self._database.damaged(problem, model)

    def link(self, number: int) -> str:
        """The link of a row; empty if there is no such row."""
        query = sa.select(EVENTS.c.link).where(EVENTS.c.number == number)
        return next((str(row["link"]) for row in self._database.rows(query)), "")

    def check_signatures(self, trusted: TrustedKeys) -> SignatureReport:
        """Check that the links of the chain are signed; see `signatures.check`."""
        with self._database.reading() as connection:
            return check(connection, trusted)

    def signed_head(self) -> SignedLink | None:
        """The last link that is signed, with its signature, unchecked."""
        with self._database.reading() as connection:
            return last_signed(connection)

    def has_link(self, link: SignedLink) -> bool:
        """Whether the chain has a link at its number."""
        return self.link(link.number) == link.link

    @property
    def _takes_rows(self) -> bool:
        """Whether this process may add rows: it can write, and has a key if needed."""
        if self._database.is_read_only:
            return False
        with self._database.reading() as connection:
            return not lacks_key(connection)

    @contextlib.contextmanager
    def _adding(self) -> Iterator[Appender]:
        """A transaction that adds events, all or none."""
        with self._database.locking() as connection:  # the first lock: no deadlock
            if self._guard is not None:
                self._guard(connection)
            key = key_for(connection, self._database.name, self._store)
            yield Appender(connection, key)

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
