"""Watches champions: restores lost files, and reports what was changed or deleted.

Importing this module does not import Prefect.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError
from headrace_flows.events import emit_from_command
from headrace_flows.recovery import in_background

if TYPE_CHECKING:
    from headrace.evidence.repair import Repair
    from headrace.settings import Settings
    from headrace.state.ledger import Tampering

_REPAIRED = {"file model", "file golden"}  # reported with their repair

log = logging.getLogger("headrace")


class ChampionWatch:
    """Checks all champions of a ledger, and reports each problem once.

    A file is read again only if its size or times have changed, so a check takes
    milliseconds.

    Args:
        settings: with the ledger, the store and MLflow.
    """

    def __init__(self, settings: Settings) -> None:
        from headrace.evidence.watch import Watch

        self._settings = settings
        self._last: set[str] = set()  # the repairs that have failed
        self._watch = Watch(settings)

    def look(self) -> list[Repair]:
        """Restore lost files from the store, and record what else does not fit.

        Returns:
            the repairs and problems of files that are new since the last check.
        """
        from headrace.evidence.repair import restore_lost
        from headrace.state.home import Home
        from headrace.state.ledger import ledger_exists

        if self._watch.is_quiet() or not ledger_exists(self._settings.database_url):
            return []
        tamperings = self._watch.look()  # a file is found before it is restored
        repairs = restore_lost(Home(self._settings), self._watch.models)
        new = [repair for repair in repairs if str(repair) not in self._last]
        self._last = {str(repair) for repair in repairs if not repair.is_sound}
        for repair in new:
            message = str(repair)
            if not repair.is_sound:
                message += (
                    f" Run `headrace verify {repair.model}/{repair.version} --repair`."
                )
            log.warning("%s", message)
            emit_from_command(self._settings, "lost", repair.model, message)
        for tampering in tamperings:
            if tampering.what not in _REPAIRED:
                self._report(tampering)
        return new

    def _report(self, tampering: Tampering) -> None:
        model = tampering.model
        message = f"{tampering.why} Run `headrace verify {model or 'MODEL'} --repair`."
        log.warning("%s", message)
        emit_from_command(
            self._settings,
            "tampered",
            model or "ledger",
            message,
            what=tampering.what,
            version=tampering.version,
        )


def watching_champions(settings: Settings) -> contextlib.AbstractContextManager[None]:
    """Check the champions during the block, now and as often as the settings say."""
    if not settings.watch_seconds:
        return contextlib.nullcontext()
    watch = ChampionWatch(settings)

    def work() -> None:
        try:
            watch.look()
        except HeadraceError as error:
            log.warning("the champions could not be checked: %s", error.message)
        except Exception as error:  # the watch goes on, whatever one look runs into
            log.warning("the champions could not be checked: %r", error)

    return in_background(work, "headrace-champions", settings.watch_seconds)
