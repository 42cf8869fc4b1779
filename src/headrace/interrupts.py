"""What a signal that ends the work does, wherever it finds the main thread."""

from __future__ import annotations

import contextlib
import inspect
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

    A second one does not wait, nor does the first after `interrupt_now`.
    """

    def __init__(self, *, is_critical: bool) -> None:
        self.is_critical, self.is_urgent = is_critical, False
        self.handlers: dict[int, Any] = {}
        self._waiting = 0

    @property
    def is_requested(self) -> bool:
        """Whether a signal is waiting."""
        return self._waiting > 0

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Note a signal, or do what it means."""
        is_second, self._waiting = self.is_requested, number
        if is_second or self.is_urgent:
            self.act(frame)

    def act(self, frame: FrameType | None = None) -> None:
        """Do what the waiting signal, if there is one, means without this."""
        number, self._waiting = self._waiting, 0
        if not number:
            return
        handler = self.handlers[number]
        signal.signal(number, handler)
        if callable(handler):
            handler(number, frame or inspect.currentframe())
        else:
            signal.raise_signal(number)


@contextlib.contextmanager
def deferred(*more: int, is_critical: bool = False) -> Iterator[Deferral]:
    """Let a first Ctrl-C or SIGTERM wait; at the latest until the block ends.

    Then it means what it meant before: Prefect, for one, tells a SIGTERM from a
    person's Ctrl-C. Who has set a handler of its own for Ctrl-C is left alone.

    Args:
        more: other signals that wait as well.
        is_critical: whether `interrupt_now` waits, too.
    """
    deferral = Deferral(is_critical=is_critical)
    if threading.current_thread() is threading.main_thread() and is_plain(
        signal.getsignal(signal.SIGINT)
    ):
        for number in (signal.SIGINT, signal.SIGTERM, *more):
            deferral.handlers[number] = signal.signal(number, deferral.handle)
    try:
        yield deferral
    finally:
        for number, handler in deferral.handlers.items():
            signal.signal(number, handler)
        deferral.act()


def interrupt_now(thread: threading.Thread) -> bool:
    """Interrupt the main thread, even where a first signal would wait.

    Returns:
        whether that was done. What is critical, and who has set a handler of its own,
        is left alone.
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
    deferral = getattr(handler, "__self__", None)
    if isinstance(deferral, Deferral):
        return not deferral.is_critical
    return handler in (interrupt, signal.default_int_handler)
