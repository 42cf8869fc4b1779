"""An opened home: its ledger, its store and MLflow, each opened when first used."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from headrace.errors import NotFoundError
from headrace.settings import Settings
from headrace.state.ledger import Lease, Ledger

if TYPE_CHECKING:
    from headrace.state.store import Store
    from headrace.state.tracking import Tracking


class Home:
    """Where a command, a stage or a server works.

    Args:
        settings: where its parts are, and who the user is.
        lease: of the run that writes to the ledger; a person's commands have none.
    """

    def __init__(self, settings: Settings, lease: Lease | None = None) -> None:
        self.settings = settings
        self._lease = lease

    @classmethod
    def existing(cls, settings: Settings, lacks: str, *, place: str = "") -> Home:
        """A home that is there already; a command that only reads makes none.

        Args:
            settings: of the home.
            lacks: what a missing home has not, such as ``model 'digits'``.
            place: URI of the part that is read, by default the ledger's. Where it is
                not in the home, the home need not exist.

        Raises:
            NotFoundError: there is no such home.
            UsageError: it is of another version, or of another user.
        """
        home = settings.home
        if home.is_dir():
            settings.prepare_home()
        elif str(home.absolute()) in (place or settings.database_url):
            raise NotFoundError(
                f"There is no home at {home}, so there is no {lacks}.",
                "Run `headrace run` first, or set HEADRACE_HOME.",
            )
        return cls(settings)

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger, which is made if it is missing."""
        return Ledger(self.settings.database_url, self._lease)

    @cached_property
    def store(self) -> Store:
        """The store."""
        from headrace.state.store import Store

        return Store(self.settings.store)

    @cached_property
    def tracking(self) -> Tracking:
        """MLflow, which is imported at its first use."""
        from headrace.state.tracking import Tracking

        return Tracking(self.settings)
