"""Watches the champions' files while ``headrace up`` runs, and restores lost ones.

A file is read again only if its size or times have changed, so a check takes
milliseconds. Importing this module does not import Prefect.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError
from headrace_flows.background import beside

if TYPE_CHECKING:
    from headrace.settings import Settings
    from headrace.use.repair import Repair

PERIOD_SECONDS = 60.0

log = logging.getLogger("headrace")


class ChampionWatch:
    """Checks all champions of a ledger, and reports each problem once.

    Args:
        settings: with the ledger, the store and MLflow.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._last: dict[str, str] = {}

    def look(self) -> list[Repair]:
        """Restore lost files from the store.

        Returns:
            the repairs and problems that are new since the last check.
        """
        from headrace.state.ledger import ledger_exists
        from headrace.use.repair import restore_lost

        if not ledger_exists(self._settings.database_url):
            return []
        repairs = restore_lost(self._settings)
        new = [r for r in repairs if r.is_sound or self._last.get(r.model) != r.reason]
        self._last = {r.model: r.reason for r in repairs if not r.is_sound}
        for repair in new:
            self._tell(repair)
        return new

    def _tell(self, repair: Repair) -> None:
        from headrace_flows.events import emit_from_command

        message = str(repair)
        if not repair.is_sound:
            message += f" Run `headrace repair {repair.model}`."
        log.warning("%s", message)
        emit_from_command(self._settings, "lost", repair.model, message)


def watching_champions(settings: Settings) -> AbstractContextManager[None]:
    """Check during the block, now and every minute."""
    watch = ChampionWatch(settings)

    def work() -> None:
        try:
            watch.look()
        except HeadraceError as error:
            log.warning("the champions could not be checked: %s", error.message)

    return beside(work, "headrace-champions", PERIOD_SECONDS)
