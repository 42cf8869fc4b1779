"""News of a long ingestion."""

from __future__ import annotations

import logging
import time

SECONDS_BETWEEN = 5.0
log = logging.getLogger("headrace")


class Progress:
    """Logs how far it is, every few seconds and no more.

    Args:
        source: what is ingested.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._next = time.monotonic() + SECONDS_BETWEEN

    def say(self, text: str) -> None:
        """Log this, if nothing was logged for some seconds."""
        if time.monotonic() >= self._next:
            log.info("%s: %s", self._source, text)
            self._next = time.monotonic() + SECONDS_BETWEEN
