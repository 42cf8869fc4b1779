"""What a signal that ends the work does, wherever it finds the main thread."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any

AGAIN_SECONDS = 0.01


def interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt; a moment later where that would leave a lock held.

    `logging` takes its lock before the block that gives it back. Interrupted in
    between, the lock is never given back, and every thread that logs waits for ever.
    """
    if frame is not None and frame.f_globals.get("__name__") == "logging":
        again = threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), number))
        again.daemon = True
        again.start()
        return
    raise KeyboardInterrupt


def is_plain(handler: Any) -> bool:
    """Whether a signal with this handler interrupts the main thread at once."""
    return handler in (interrupt, signal.default_int_handler)
