"""Leases: which run may write to the ledger for a pipeline now.

Knows who holds what and since when, not what a run does with it. Each taking has the
next ``token`` of its name: the fencing number, by which the database refuses what a
run still writes that has been replaced meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from headrace.errors import DependencyError
from headrace.state.ledger.database import Database, plain
from headrace.state.ledger.rows import Lease

LIFETIME_SECONDS = 75.0
FLOW_RUN = "flow-run/"  # begins a name where only the run itself is meant

METADATA = sa.MetaData()  # beside the ledger's tables, so that its format stays
LEASES = sa.Table(
    "leases",
    METADATA,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("token", sa.Integer, primary_key=True, autoincrement=False),
    *(
        sa.Column(name, sa.String, nullable=False)
        for name in ("holder", "host", "started", "flow_run_id", "state")
    ),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("acquired", sa.Double, nullable=False),
    sa.Column("expires", sa.Double, nullable=False),
)
IDENTITY = sa.Table(
    "ledger_identity", METADATA, sa.Column("id", sa.String, nullable=False)
)


class Leases:
    """The leases in one ledger's database; its tables are made when they are missing.

    Args:
        url: SQLAlchemy URL of the ledger.
        timeout_seconds: how long to wait for a lock or a connection.
        patience_seconds: how long to try again where a server does not answer.

    Raises:
        UsageError: the URL names no ledger.
        DependencyError: the database does not answer. Every method raises it.
    """

    def __init__(
        self, url: str, *, timeout_seconds: float = 10.0, patience_seconds: float = 0.0
    ) -> None:
        self._database = Database(url, timeout_seconds, patience_seconds)
        self._database.ensure(METADATA)

    def identity(self) -> str:
        """What no other ledger is called, however it is reached."""
        query = sa.select(IDENTITY.c.id)
        for row in self._database.rows(query):
            return str(row["id"])
        with self._database.writing() as connection:
            self._database.lock(connection)
            identity = connection.execute(query).scalar()
            if identity is None:
                identity = uuid4().hex[:12]
                connection.execute(sa.insert(IDENTITY).values(id=identity))
            return str(identity)

    def take(self, wanted: Lease) -> Lease:
        """Take a lease that nobody alive holds.

        Returns:
            the lease as it was taken, or another's that is in the way.
        """
        while True:
            try:
                return self._take(wanted)
            except sa.exc.IntegrityError:  # another took the same number first
                continue

    def _take(self, wanted: Lease) -> Lease:
        with self._database.writing() as connection:
            now = now_of(connection)
            last = _newest(connection, wanted.name, for_update=True)
            if last is not None and last.is_alive(now):
                return last
            if last is not None and last.state == "held":
                self._set(connection, last, state="lost", expires=now)
            taken = wanted.model_copy(
                update={
                    "token": last.token + 1 if last else 1,
                    "acquired": now,
                    "expires": now + LIFETIME_SECONDS,
                }
            )
            connection.execute(sa.insert(LEASES).values(plain(taken)))
            return taken

    def renew(self, lease: Lease) -> bool:
        """Make it last from now on; False when it is another's."""
        with self._database.writing() as connection:
            expires = now_of(connection) + LIFETIME_SECONDS
            return self._set(connection, lease, expires=expires)

    def give_back(self, lease: Lease, *, ended_well: bool) -> None:
        """End it, where it is still held; after a bad end a sweep looks at its run."""
        with self._database.writing() as connection:
            state = "ended" if ended_well else "lost"
            self._set(connection, lease, state=state, expires=now_of(connection))

    def bury(self, lease: Lease) -> None:
        """End a lost one, once nothing says any more that its run is running."""
        with self._database.writing() as connection:
            update = sa.update(LEASES).where(_is(lease)).values(state="ended")
            connection.execute(update)

    def forget(self, leases: Iterable[Lease]) -> None:
        """Remove rows; of a pipeline the newest must stay, which keeps the count."""
        for lease in leases:
            with self._database.writing() as connection:
                ended = sa.delete(LEASES).where(_is(lease), LEASES.c.state == "ended")
                connection.execute(ended)

    def all(self) -> tuple[list[Lease], float]:
        """Every lease, the oldest first, and the time by the database's clock."""
        with self._database.reading() as connection:
            query = sa.select(LEASES).order_by(LEASES.c.acquired, LEASES.c.token)
            rows = connection.execute(query).mappings()
            return [Lease(**row) for row in rows], now_of(connection)

    def current(self, name: str) -> Lease | None:
        """The newest lease of a name, held or not."""
        with self._database.reading() as connection:
            return _newest(connection, name)

    def _set(self, connection: sa.Connection, lease: Lease, **values: Any) -> bool:
        held = sa.update(LEASES).where(_is(lease), LEASES.c.state == "held")
        return connection.execute(held.values(**values)).rowcount == 1


def _is(lease: Lease) -> sa.ColumnElement[bool]:
    return (LEASES.c.name == lease.name) & (LEASES.c.token == lease.token)


def _newest(
    connection: sa.Connection, name: str, *, for_update: bool = False
) -> Lease | None:
    query = sa.select(LEASES).where(LEASES.c.name == name)
    query = query.order_by(LEASES.c.token.desc()).limit(1)
    query = query.with_for_update() if for_update else query
    row = connection.execute(query).mappings().first()
    return Lease(**row) if row else None


def now_of(connection: sa.Connection) -> float:
    """Seconds since 1970 by the database's clock."""
    if connection.dialect.name == "sqlite":  # all are on this machine
        return time.time()
    now = sa.func.extract("epoch", sa.func.clock_timestamp())
    return float(connection.execute(sa.select(now)).scalar_one())


def fence(lease: Lease) -> Callable[[sa.Connection], None]:
    """A check in a transaction that writes: is the lease still held?

    The row stays locked until the transaction ends, so nobody takes it in between.
    """
    held = sa.select(LEASES.c.token).where(_is(lease), LEASES.c.state == "held")

    def check(connection: sa.Connection) -> None:
        if connection.execute(held.with_for_update(read=True)).first() is None:
            raise taken_over(lease, _newest(connection, lease.name))

    return check


def taken_over(lease: Lease, winner: Lease | None) -> DependencyError:
    """What a run that was replaced is told."""
    by = f"by {winner}" if winner and not winner.is_of(lease) else "meanwhile"
    return DependencyError(
        f"Another run took over {lease.name} {by}: this one had not been heard of "
        "for too long.",
        "Nothing was registered or promoted by this run. Run the same command again "
        "to see where the other got to.",
        was_retried=True,
    )


def busy(lease: Lease) -> DependencyError:
    """What a run is told that does not wait."""
    return DependencyError(
        f"{lease.name} is busy: it is run by {lease}.",
        'Try again when that run has ended, or set deploy.when_busy = "wait".',
        was_retried=True,
    )
