"""Waiting for what another process or thread does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def until(met: Callable[[], Any], what: str = "in time", seconds: float = 600) -> Any:
    """What a condition answers once it is met; else a failure that says what is not."""
    limit = time.monotonic() + seconds
    while not (found := met()):
        assert time.monotonic() < limit, what
        time.sleep(0.05)
    return found
