"""Leases: which run may write to the ledger for a pipeline now.

Each acquisition of a lease gets the next ``token`` of its name. It is a fencing token:
the database rejects writes from a run that has lost its lease. Of two runs of one
pipeline, the one without the lease waits or is refused. `headrace.state.ledger.holding`
renews a lease during a run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa

from headrace.errors import DependencyError
from headrace.records import Record
from headrace.state.ledger.database import Database
from headrace.state.ledger.records import as_json
from headrace.state.ledger.schema import MARKER, METADATA, columns
from headrace.state.processes import Process, this_process

LIFETIME_SECONDS = 75.0
GRACE_SECONDS = 90.0  # in which a run that has ended reports its state to Prefect
PATIENCE_SECONDS = 60.0  # outlasts a restart of the database

LEASES = sa.Table(
    "leases",
    METADATA,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("token", sa.Integer, primary_key=True, autoincrement=False),
    *columns(sa.String, "holder", "host", "started", "flow_run_id", "state"),
    *columns(sa.Integer, "pid"),
    *columns(sa.Double, "acquired", "expires"),
)


class Lease(Record):
    """A lease, acquired once by one run.

    Attributes:
        name: of the pipeline, or of a flow run.
        token: the fencing token: 1, 2, 3 …
        holder: the user who runs it.
        host: the holder's machine.
        pid: the id of the holder's process.
        started: when that process began; see `Process`.
        flow_run_id: the id of the Prefect flow run.
        acquired: seconds since 1970 by the database's clock.
        expires: by the same clock; when it was released, if it was.
        state: ``lost`` if another run took it over or its run failed, until recovery
            has cleaned up; then ``ended``.
    """

    name: str
    token: int = 0
    holder: str
    host: str
    pid: int
    started: str
    flow_run_id: str
    acquired: float = 0.0
    expires: float = 0.0
    state: Literal["held", "lost", "ended"] = "held"

    @classmethod
    def wanted(cls, name: str, flow_run_id: str, holder: str) -> Lease:
        """A lease of this process, not acquired yet."""
        host, pid, started = this_process()
        process: dict[str, Any] = {"host": host, "pid": pid, "started": started}
        return cls(name=name, holder=holder, flow_run_id=flow_run_id, **process)

    @property
    def process(self) -> Process:
        """The process that holds it."""
        return Process(self.host, self.pid, self.started)

    def is_same_run(self, other: Lease) -> bool:
        """Whether both are of the same run in the same process."""
        return (self.process, self.flow_run_id) == (other.process, other.flow_run_id)

    def is_alive(self, now: float) -> bool:
        """Whether its holder still runs.

        A process on another machine, or a suspended one, counts as alive until the
        lease expires.
        """
        if self.state != "held":
            return False
        condition = self.process.condition
        return condition == "running" or (condition != "gone" and now < self.expires)

    def may_be_alive(self, now: float) -> bool:
        """Whether its run is alive, or ended so recently that it may still report."""
        if self.state == "held":
            return self.is_alive(now)
        is_fresh = now < self.expires + GRACE_SECONDS
        return is_fresh and self.process.condition != "gone"

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.acquired, UTC).strftime("%Y-%m-%d %H:%M:%S")
        host = self.host.partition("#")[0]
        return f"{self.holder} (process {self.pid} on {host}) since {since} UTC"


class Leases:
    """The leases in one ledger's database.

    Args:
        url: SQLAlchemy URL of the ledger.
        is_patient: whether to wait while a server restarts.

    Raises:
        UsageError: the URL names no ledger.
        DependencyError: the database does not answer. Every method raises it.
    """

    def __init__(self, url: str, *, is_patient: bool = False) -> None:
        self._database = Database(url, 10.0, PATIENCE_SECONDS if is_patient else 0.0)

    def identity(self) -> str:
        """An id of this ledger, the same whichever URL it is reached by."""
        (row,) = self._database.rows(sa.select(MARKER.c.identity))
        return str(row["identity"])

    def acquire(self, wanted: Lease) -> Lease:
        """Acquire a lease, unless a live run holds it.

        Returns:
            the lease as it was acquired, or the lease of the other run.
        """
        with self._database.adding() as connection:
            now = now_of(connection)
            last = newest(connection, wanted.name)
            if last is not None and last.is_alive(now):
                return last
            if last is not None and last.state == "held":
                self._set(connection, last, state="lost", expires=now)
            token, expires = last.token + 1 if last else 1, now + LIFETIME_SECONDS
            update = {"token": token, "acquired": now, "expires": expires}
            acquired = wanted.model_copy(update=update)
            connection.execute(sa.insert(LEASES).values(as_json(acquired)))
            return acquired

    def renew(self, lease: Lease) -> bool:
        """Renew a lease; False if another run has taken it over."""
        with self._database.writing() as connection:
            expires = now_of(connection) + LIFETIME_SECONDS
            return self._set(connection, lease, expires=expires)

    def release(self, lease: Lease, *, succeeded: bool) -> None:
        """Release a lease if it is held; after a failure, recovery checks its run."""
        with self._database.writing() as connection:
            state = "ended" if succeeded else "lost"
            self._set(connection, lease, state=state, expires=now_of(connection))

    def mark_ended(self, lease: Lease) -> None:
        """Mark a lost lease as ended, once its run is recorded as ended everywhere."""
        with self._database.writing() as connection:
            update = sa.update(LEASES).where(_is(lease)).values(state="ended")
            connection.execute(update)

    def delete(self, leases: Iterable[Lease]) -> None:
        """Delete ended leases; keep the newest of a pipeline, whose token counts on."""
        for lease in leases:
            with self._database.writing() as connection:
                ended = sa.delete(LEASES).where(_is(lease), LEASES.c.state == "ended")
                connection.execute(ended)

    def all(self) -> tuple[list[Lease], float]:
        """Every lease, oldest first, and the time by the database's clock."""
        with self._database.reading() as connection:
            query = sa.select(LEASES).order_by(LEASES.c.acquired, LEASES.c.token)
            rows = connection.execute(query).mappings()
            return [Lease(**row) for row in rows], now_of(connection)

    def holder(self, name: str) -> Lease | None:
        """The lease of a name, if whoever holds it still runs."""
        with self._database.reading() as connection:
            last = newest(connection, name)
            return last if last and last.is_alive(now_of(connection)) else None

    def current(self, name: str) -> Lease | None:
        """The newest lease of a name, held or not."""
        with self._database.reading() as connection:
            return newest(connection, name)

    def _set(self, connection: sa.Connection, lease: Lease, **values: Any) -> bool:
        held = sa.update(LEASES).where(_is(lease), LEASES.c.state == "held")
        return connection.execute(held.values(**values)).rowcount == 1


def _is(lease: Lease) -> sa.ColumnElement[bool]:
    return (LEASES.c.name == lease.name) & (LEASES.c.token == lease.token)


def newest(connection: sa.Connection, name: str) -> Lease | None:
    """The lease of a name that was acquired last, held or not."""
    query = sa.select(LEASES).where(LEASES.c.name == name)
    query = query.order_by(LEASES.c.token.desc()).limit(1)
    row = connection.execute(query).mappings().first()
    return Lease(**row) if row else None


def killed_since(connection: sa.Connection, pipeline: str) -> float | None:
    """When the oldest run of a pipeline began that was killed and not recovered yet."""
    own = LEASES.c.name == pipeline, LEASES.c.state != "ended"
    rows = connection.execute(sa.select(LEASES).where(*own)).mappings()
    leases, now = [Lease(**row) for row in rows], now_of(connection)
    dead = [lease.acquired for lease in leases if not lease.may_be_alive(now)]
    return min(dead, default=None)


def now_of(connection: sa.Connection) -> float:
    """Seconds since 1970 by the database's clock."""
    if connection.dialect.name == "sqlite":  # its clients are on this machine
        return time.time()
    now = sa.func.extract("epoch", sa.func.clock_timestamp())
    return float(connection.execute(sa.select(now)).scalar_one())


def fence(lease: Lease) -> Callable[[sa.Connection], None]:
    """A check at the start of a write transaction: it raises if the lease is lost.

    The ledger is locked until the transaction ends, so no other run can take it over.
    """
    held = sa.select(LEASES.c.token).where(_is(lease), LEASES.c.state == "held")

    def check(connection: sa.Connection) -> None:
        if connection.execute(held).first() is None:
            raise lease_lost(lease, newest(connection, lease.name))

    return check


def lease_lost(lease: Lease, winner: Lease | None) -> DependencyError:
    """The error for a run that has lost its lease."""
    by = f"by {winner}" if winner and not winner.is_same_run(lease) else "meanwhile"
    return DependencyError(
        f"Another run took over {lease.name} {by}: this one did not renew its lease "
        "in time.",
        "Nothing was registered or promoted by this run. Run the same command again "
        "to see where the other got to.",
        was_retried=True,
    )
