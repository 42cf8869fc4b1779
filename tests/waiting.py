"""Waiting for what another process or thread does."""

import time


def until(met, what="in time", seconds=600):
    """What a condition answers once it is met; else a failure that says what is not."""
    limit = time.monotonic() + seconds
    while not (found := met()):
        assert time.monotonic() < limit, what
        time.sleep(0.05)
    return found
