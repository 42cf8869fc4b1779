"""Holding a lease: taken, renewed by a thread, and given back at the end.

Of two runs of one pipeline, the one without the lease waits or is refused. A run that
has lost its lease, because it was stopped or cut off for too long, is told at once;
what it would still write to the ledger, the ledger refuses (see `ledger.leases`).
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from headrace.errors import DependencyError, HeadraceError
from headrace.interrupts import interrupt_now
from headrace.state.ledger import Lease, Leases, Ledger
from headrace.state.ledger.leases import FLOW_RUN, busy, taken_over

if TYPE_CHECKING:
    from headrace.settings import Settings

RENEWAL_SECONDS = 15.0
RETRY_SECONDS = 3.0
POLL_SECONDS = 1.0
PATIENCE_SECONDS = 60.0  # for a database that is restarted in the middle of a run

log = logging.getLogger("headrace")


class Holding:
    """A lease that is held, and renewed until it is closed.

    Attributes:
        lease: as it was taken.
    """

    def __init__(self, url: str, leases: Leases, lease: Lease) -> None:
        self.lease = lease
        self._url = url
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

    def ledger(self) -> Ledger:
        """The ledger, which takes what is written under this lease and no other."""
        return Ledger(self._url, patience_seconds=PATIENCE_SECONDS, lease=self.lease)

    def loss(self) -> DependencyError:
        """What to say when it is lost."""
        winner = None
        with contextlib.suppress(HeadraceError):
            winner = self._leases.current(self.lease.name)
        return taken_over(self.lease, winner)

    def close(self, *, ended_well: bool) -> None:
        """Give it back, where it is still held."""
        self._closing.set()
        self._thread.join()
        try:
            self._leases.give_back(self.lease, ended_well=ended_well)
        except HeadraceError as error:  # it expires, then
            log.warning(
                "the lease of %s was not given back: %s", self.lease.name, error
            )

    def _renew(self) -> None:
        pause = RENEWAL_SECONDS
        while not self._closing.wait(pause):
            try:
                held = self._leases.renew(self.lease)
            except HeadraceError as error:
                log.warning("the lease of %s waits: %s", self.lease.name, error.message)
                pause = RETRY_SECONDS
                continue
            if not held:
                self._lost.set()
                self._interrupt()
                return
            pause = RENEWAL_SECONDS

    def _interrupt(self) -> None:
        """End what the run does now: its next look at the ledger may be hours away.

        Who has set a handler of its own is left alone until it has put it back.
        """
        if self._owner is not threading.main_thread():
            return
        while not self._closing.is_set() and not interrupt_now(self._owner):
            self._closing.wait(POLL_SECONDS)


@contextlib.contextmanager
def hold(
    settings: Settings, name: str, flow_run_id: str, *, wait: bool = True
) -> Iterator[Holding]:
    """Hold a lease during a block.

    Args:
        settings: where the ledger is, and who the user is.
        name: of the pipeline.
        flow_run_id: Prefect's, of the run that writes.
        wait: for another that holds it; else refuse.

    Raises:
        DependencyError: another holds it, or has taken over meanwhile, or the
            database does not answer.
    """
    # Only to begin with: a run that has ended does not wait to give its lease back.
    patient = Leases(settings.database_url, patience_seconds=PATIENCE_SECONDS)
    leases = Leases(settings.database_url)
    wanted = Lease.wanted(name, flow_run_id, settings.user)
    lease = _take(settings, patient, wanted, wait)
    holding = Holding(settings.database_url, leases, lease)
    ended_well = False
    try:
        yield holding
        ended_well = True
    except KeyboardInterrupt:
        if holding.is_lost:
            raise holding.loss() from None
        raise
    finally:
        holding.close(ended_well=ended_well)


@contextlib.contextmanager
def present(settings: Settings, flow_run_id: str) -> Iterator[Holding]:
    """Say during a block that a flow run is alive, which stands in nobody's way."""
    with hold(settings, f"{FLOW_RUN}{flow_run_id}", flow_run_id) as holding:
        yield holding


def _take(settings: Settings, leases: Leases, wanted: Lease, wait: bool) -> Lease:
    reported = 0
    with contextlib.ExitStack() as waiting:
        while True:
            lease = leases.take(wanted)
            if lease.is_of(wanted):
                return lease
            if not wait:
                raise busy(lease)
            if not reported:
                waiting.enter_context(present(settings, wanted.flow_run_id))
            if lease.token != reported:
                log.info("%s is run by %s: waiting for it to end", wanted.name, lease)
                reported = lease.token
            time.sleep(POLL_SECONDS)
