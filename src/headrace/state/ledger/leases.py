"""Leases: which run may write to the ledger for a pipeline now.

Each acquisition of a lease gets the next ``token`` of its name. It is a fencing token:
the database rejects writes from a run that has lost its lease. Of two runs of one
pipeline, the one without the lease waits or is refused. A heartbeat thread renews the
lease. A run that is suspended or disconnected for too long loses it, and the thread
interrupts the run when it notices.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from headrace.errors import DependencyError, HeadraceError
from headrace.interrupts import interrupt_now
from headrace.settings import Settings
from headrace.state.ledger.database import Database, as_json
from headrace.state.ledger.rows import Lease
from headrace.state.ledger.tables import columns

LIFETIME_SECONDS = 75.0
RENEWAL_SECONDS = 15.0
RETRY_SECONDS = 3.0
POLL_SECONDS = 1.0
PATIENCE_SECONDS = 60.0  # outlasts a restart of the database
FLOW_RUN = "flow-run/"  # prefix of the name of a lease on a flow run
COLLECTING = "gc/"  # the lease of `headrace gc`; no pipeline has such a name

log = logging.getLogger("headrace")

METADATA = sa.MetaData()  # not part of the ledger's format
LEASES = sa.Table(
    "leases",
    METADATA,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("token", sa.Integer, primary_key=True, autoincrement=False),
    *columns(sa.String, "holder", "host", "started", "flow_run_id", "state"),
    *columns(sa.Integer, "pid"),
    *columns(sa.Double, "acquired", "expires"),
)
IDENTITY = sa.Table("ledger_identity", METADATA, *columns(sa.String, "id"))


class Leases:
    """The leases in one ledger's database, which creates their tables if needed.

    Args:
        url: SQLAlchemy URL of the ledger.
        is_patient: whether to wait while a server restarts.

    Raises:
        UsageError: the URL names no ledger.
        DependencyError: the database does not answer. Every method raises it.
    """

    def __init__(self, url: str, *, is_patient: bool = False) -> None:
        self._database = Database(url, 10.0, PATIENCE_SECONDS if is_patient else 0.0)
        self._database.ensure(METADATA)

    def identity(self) -> str:
        """An id of this ledger, the same whichever URL it is reached by."""
        query = sa.select(IDENTITY.c.id)
        for row in self._database.rows(query):
            return str(row["id"])
        with self._database.locking() as connection:
            identity = connection.execute(query).scalar()
            if identity is None:
                identity = uuid4().hex[:12]
                connection.execute(sa.insert(IDENTITY).values(id=identity))
            return str(identity)

    def acquire(self, wanted: Lease) -> Lease:
        """Acquire a lease, unless a live run holds it.

        Returns:
            the lease as it was acquired, or the lease of the other run.
        """
        while True:
            with contextlib.suppress(sa.exc.IntegrityError):  # of another run's token
                return self._acquire(wanted)

    def _acquire(self, wanted: Lease) -> Lease:
        with self._database.writing() as connection:
            now = now_of(connection)
            last = _newest(connection, wanted.name, lock=True)
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

    def now(self) -> float:
        """The time by the database's clock, seconds since 1970."""
        with self._database.reading() as connection:
            return now_of(connection)

    def current(self, name: str) -> Lease | None:
        """The newest lease of a name, held or not."""
        with self._database.reading() as connection:
            return _newest(connection, name)

    def _set(self, connection: sa.Connection, lease: Lease, **values: Any) -> bool:
        held = sa.update(LEASES).where(_is(lease), LEASES.c.state == "held")
        return connection.execute(held.values(**values)).rowcount == 1


def _is(lease: Lease) -> sa.ColumnElement[bool]:
    return (LEASES.c.name == lease.name) & (LEASES.c.token == lease.token)


def _newest(connection: sa.Connection, name: str, lock: bool = False) -> Lease | None:
    query = sa.select(LEASES).where(LEASES.c.name == name)
    query = query.order_by(LEASES.c.token.desc()).limit(1)
    query = query.with_for_update() if lock else query
    row = connection.execute(query).mappings().first()
    return Lease(**row) if row else None


def now_of(connection: sa.Connection) -> float:
    """Seconds since 1970 by the database's clock."""
    if connection.dialect.name == "sqlite":  # its clients are on this machine
        return time.time()
    now = sa.func.extract("epoch", sa.func.clock_timestamp())
    return float(connection.execute(sa.select(now)).scalar_one())


def fence(lease: Lease) -> Callable[[sa.Connection], None]:
    """A check at the start of a write transaction: it raises if the lease is lost.

    It locks the lease until the transaction ends, so no other run can take it over.
    """
    held = sa.select(LEASES.c.token).where(_is(lease), LEASES.c.state == "held")

    def check(connection: sa.Connection) -> None:
        if connection.execute(held.with_for_update(read=True)).first() is None:
            raise lease_lost(lease, _newest(connection, lease.name))

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


def lease_busy(lease: Lease) -> DependencyError:
    """The error for a run that does not wait for the lease."""
    return DependencyError(
        f"{lease.name} is busy: it is run by {lease}.",
        'Try again when that run has ended, or set deploy.when_busy = "wait".',
        was_retried=True,
    )


class HeldLease:
    """A lease that a thread renews until `close`.

    Attributes:
        lease: as it was acquired.
    """

    def __init__(self, leases: Leases, lease: Lease) -> None:
        self.lease = lease
        self._leases = leases
        self._lost = threading.Event()
        self._closing = threading.Event()
        self._owner = threading.current_thread()
        self._thread = threading.Thread(
            target=self._renew, name="headrace-lease", daemon=True
        )
        self._thread.start()

    @property
    def is_lost(self) -> bool:
        """Whether another run has taken over."""
        return self._lost.is_set()

    def loss(self) -> DependencyError:
        """The error for a lost lease."""
        winner = None
        with contextlib.suppress(HeadraceError):
            winner = self._leases.current(self.lease.name)
        return lease_lost(self.lease, winner)

    def close(self, *, succeeded: bool) -> None:
        """Stop renewing the lease, and release it if it is still held."""
        self._closing.set()
        self._thread.join()
        try:
            self._leases.release(self.lease, succeeded=succeeded)
        except HeadraceError as error:  # then it expires
            log.warning("the lease of %s was not released: %s", self.lease.name, error)

    def _renew(self) -> None:
        pause, name = RENEWAL_SECONDS, self.lease.name
        while not self._closing.wait(pause):
            pause = RENEWAL_SECONDS
            try:
                if not self._leases.renew(self.lease):
                    self._lost.set()
                    self._interrupt()
                    return
            except HeadraceError as error:
                message = error.message
                log.warning("the lease of %s was not renewed yet: %s", name, message)
                pause = RETRY_SECONDS

    def _interrupt(self) -> None:
        """Interrupt the run now: its next write to the ledger may be hours away.

        Waits while another handler of SIGINT is installed.
        """
        if self._owner is not threading.main_thread():
            return
        while not self._closing.is_set() and not interrupt_now(self._owner):
            self._closing.wait(POLL_SECONDS)


@contextlib.contextmanager
def hold(
    settings: Settings, name: str, flow_run_id: str, *, wait: bool = True
) -> Iterator[HeldLease]:
    """Hold a lease during a block.

    Args:
        settings: where the ledger is, and who the user is.
        name: of the pipeline.
        flow_run_id: the id of the Prefect flow run that writes.
        wait: whether to wait for another run that holds the lease.

    Raises:
        DependencyError: another run holds the lease or has taken it over, or the
            database does not answer.
    """
    # Only acquiring is retried; a lease that is not released expires.
    patient = Leases(settings.database_url, is_patient=True)
    leases = Leases(settings.database_url)
    wanted = Lease.wanted(name, flow_run_id, settings.user)
    held = HeldLease(leases, _acquire(settings, patient, wanted, wait))
    succeeded = False
    try:
        yield held
        succeeded = True
    except KeyboardInterrupt:
        if held.is_lost:
            raise held.loss() from None
        raise
    finally:
        held.close(succeeded=succeeded)


def heartbeat(
    settings: Settings, flow_run_id: str, pipeline: str = ""
) -> contextlib.AbstractContextManager[HeldLease]:
    """Record during a block that a flow run is alive; this blocks no other run.

    Args:
        pipeline: whose files the run uses; `pipeline_of` reads it.
    """
    name = f"{FLOW_RUN}{flow_run_id}/{pipeline}".rstrip("/")
    return hold(settings, name, flow_run_id)


def pipeline_of(lease: Lease) -> str:
    """The pipeline whose files a run with this lease uses; empty if none."""
    if lease.name.startswith(FLOW_RUN):
        return lease.name.removeprefix(FLOW_RUN).partition("/")[2]
    return "" if lease.name == COLLECTING else lease.name


def wait_for_collection(settings: Settings) -> None:
    """Wait until no ``headrace gc`` deletes files.

    To be called with a lease that a later collection sees, and before any file of the
    store is chosen. A collection that has begun before cannot know what this run uses.
    """
    leases, said = Leases(settings.database_url, is_patient=True), False
    while True:
        (current, now) = leases.current(COLLECTING), leases.now()
        if current is None or not current.is_alive(now):
            return
        if not said:
            log.info("`headrace gc` is run by %s: waiting for it to end", current)
        said = True
        time.sleep(POLL_SECONDS)


def _acquire(settings: Settings, leases: Leases, wanted: Lease, wait: bool) -> Lease:
    reported = 0
    with contextlib.ExitStack() as waiting:
        while True:
            lease = leases.acquire(wanted)
            if lease.is_same_run(wanted):
                return lease
            if not wait:
                raise lease_busy(lease)
            if not reported:
                waiting.enter_context(heartbeat(settings, wanted.flow_run_id))
            if lease.token != reported:
                log.info("%s is run by %s: waiting for it to end", wanted.name, lease)
                reported = lease.token
            time.sleep(POLL_SECONDS)
