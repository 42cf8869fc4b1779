"""What a signal that ends the work does, wherever it finds the main thread."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
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


class Deferral:
    """Signals that wait until the work is at a place where it can end.

    The second interrupts at once, and so does the first after `interrupt_now`.

    Attributes:
        is_requested: whether one is waiting.
        is_urgent: whether none waits.
    """

    def __init__(self) -> None:
        self.is_requested = self.is_urgent = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Note a signal, or do what it means."""
        if self.is_requested or self.is_urgent:
            interrupt(number, frame)
        self.is_requested = True


@contextlib.contextmanager
def deferred() -> Iterator[Deferral]:
    """Let a first Ctrl-C or SIGTERM wait; at the latest until the block ends.

    Who has set a handler of its own is left alone.
    """
    deferral = Deferral()
    numbers = []
    if threading.current_thread() is threading.main_thread():
        numbers = [
            number
            for number in (signal.SIGINT, signal.SIGTERM)
            if is_plain(signal.getsignal(number))
        ]
    handlers = {n: signal.signal(n, deferral.handle) for n in numbers}
    try:
        yield deferral
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if deferral.is_requested:
        raise KeyboardInterrupt


def interrupt_now(thread: threading.Thread) -> bool:
    """Interrupt the main thread, even where a first signal would wait.

    Returns:
        whether that was done: who has set a handler of its own is left alone.
    """
    handler = signal.getsignal(signal.SIGINT)
    if not is_plain(handler):
        return False
    deferral = getattr(handler, "__self__", None)
    if isinstance(deferral, Deferral):
        deferral.is_urgent = True
    signal.pthread_kill(thread.ident or 0, signal.SIGINT)
    return True


def is_plain(handler: Any) -> bool:
    """Whether a signal with this handler ends what the main thread does."""
    if isinstance(getattr(handler, "__self__", None), Deferral):
        return True
    return handler in (interrupt, signal.default_int_handler)
