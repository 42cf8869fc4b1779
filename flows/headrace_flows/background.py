"""Work in a thread during a block of code, once or periodically."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

LAST_WAIT_SECONDS = 10.0


@contextlib.contextmanager
def beside(
    work: Callable[[], None], name: str, period_seconds: float = 0.0
) -> Iterator[None]:
    """Do some work during the block. The block's end waits for it some seconds.

    Args:
        name: the name of the thread.
        period_seconds: the pause before the work is repeated; 0: do it once.
    """
    closing = threading.Event()

    def repeat() -> None:
        work()
        while period_seconds and not closing.wait(period_seconds):
            work()

    thread = threading.Thread(target=repeat, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        closing.set()
        thread.join(LAST_WAIT_SECONDS)
