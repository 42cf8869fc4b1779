"""The turn of a run: meanwhile no other run of its pipeline registers or promotes."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from datetime import datetime

from headrace.planning import Plan
from headrace.state.home import Home
from headrace.state.ledger.holding import (
    HeldLease,
    heartbeat,
    hold,
    wait_for_collection,
)


class Turn:
    """When a run may write to the ledger: while it holds its pipeline's lease.

    Args:
        plan: of the run; its home writes with the lease that is held.

    Attributes:
        held: the lease, or another one that the run must not lose; None without one.
        began_at: the number of the ledger's last entry when the run began. The
            promotions of its version after that are its own.
    """

    held: HeldLease | None = None
    began_at = 0
    _flow_run_id = ""
    _killed_at = math.inf

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._lease = contextlib.ExitStack()

    def look_back(self) -> None:
        """Note when a killed run of the pipeline began, which this one continues.

        If that run has promoted its version, this one ends as promoted. To be called
        before the leases of dead runs are swept.

        Raises:
            DependencyError: the ledger does not answer.
        """
        killed_at = self._plan.home.ledger.unsettled_since(self._plan.spec.name)
        self._killed_at = math.inf if killed_at is None else killed_at

    @contextlib.contextmanager
    def alone(self, flow_run_id: str) -> Iterator[None]:
        """Hold the pipeline's lease: meanwhile no other run registers or promotes.

        Raises:
            DependencyError: another run has it, or has taken over.
        """
        self._flow_run_id, deploy = flow_run_id, self._plan.spec.deploy
        # Read now: the file may be edited, and another may promote, while this runs.
        _ = self._plan.law, self._plan.champion
        with self._lease:
            self._take(wait=deploy is None or deploy.when_busy == "wait")
            # Entries since the start of a killed run count as this run's.
            self.began_at = sum(
                datetime.fromisoformat(entry.when).timestamp() < self._killed_at
                for entry in self._plan.home.ledger.history(self._plan.spec.name)
            )
            yield

    def _take(self, *, wait: bool) -> None:
        settings, name = self._plan.settings, self._plan.spec.name
        lease = hold(settings, name, self._flow_run_id, wait=wait)
        self.held = self._lease.enter_context(lease)
        wait_for_collection(settings)
        self._plan.home = Home(settings, self.held.lease)

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Release the pipeline's lease during a block, which may take hours.

        The block must not write to the ledger. The champion may change meanwhile.

        Raises:
            DependencyError: the ledger's database does not answer.
        """
        settings, name = self._plan.settings, self._plan.spec.name
        with heartbeat(settings, self._flow_run_id, name):
            self.held = None
            self._lease.close()
            yield
        self._take(wait=True)

    def check(self) -> None:
        """Raise DependencyError if another run has taken over."""
        if self.held is not None and self.held.is_lost:
            raise self.held.loss()
