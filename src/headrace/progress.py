"""How far long work is: one line every few seconds, wherever it is done."""

from __future__ import annotations

import logging
import time

SECONDS_BETWEEN = 5.0
log = logging.getLogger("headrace")


class Progress:
    """Logs how far it is, every few seconds and no more.

    Args:
        what: is done, and to what.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._next = time.monotonic() + SECONDS_BETWEEN

    def say(self, text: str) -> None:
        """Log this, if nothing was logged for some seconds."""
        if time.monotonic() >= self._next:
            log.info("%s: %s", self._what, text)
            self._next = time.monotonic() + SECONDS_BETWEEN
