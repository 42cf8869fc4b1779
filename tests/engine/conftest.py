"""A container engine of our own, two machines on this one, and work that spreads.

Nothing here starts by itself: a test asks for what it needs, and `needs` says why it is
skipped where that is not to be had.
"""

import signal

import pytest


@pytest.fixture(scope="session", autouse=True)
def _sigterm_ends_as_ctrl_c_does():
    """So that what a test started is ended as after a failure."""

    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    yield
    signal.signal(signal.SIGTERM, before)
