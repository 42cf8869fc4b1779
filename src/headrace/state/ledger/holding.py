"""Holding a lease: a heartbeat thread renews it while a run writes.

A run that is suspended or disconnected for too long loses its lease, and the thread
interrupts the run when it notices.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator

from headrace.errors import DependencyError, HeadraceError
from headrace.settings import Settings
from headrace.state.interrupts import interrupt_now
from headrace.state.ledger.leases import Lease, Leases, lease_lost

RENEWAL_SECONDS = 15.0
RETRY_SECONDS = 3.0
POLL_SECONDS = 1.0
FLOW_RUN = "flow-run/"  # prefix of the name of a lease on a flow run
COLLECTING = "gc/"  # the lease of `headrace gc`; no pipeline has such a name

log = logging.getLogger("headrace")


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
        if (current := leases.holder(COLLECTING)) is None:
            return
        if not said:
            log.info("`headrace gc` is run by %s: waiting for it to end", current)
        said = True
        time.sleep(POLL_SECONDS)


def lease_busy(lease: Lease) -> DependencyError:
    """The error for a run that does not wait for the lease."""
    return DependencyError(
        f"{lease.name} is busy: {lease} is running it.",
        'Try again when that run has ended, or set deploy.when_busy = "wait".',
        was_retried=True,
    )


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
                own = pipeline_of(wanted)
                waiting.enter_context(heartbeat(settings, wanted.flow_run_id, own))
            if lease.token != reported:
                log.info("%s is run by %s: waiting for it to end", wanted.name, lease)
                reported = lease.token
            time.sleep(POLL_SECONDS)
