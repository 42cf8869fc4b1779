"""Ctrl-C and SIGTERM, deferred to places where the work can end."""

from __future__ import annotations

import contextlib
import inspect
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

RETRY_SECONDS = 0.01
DOUBLED_SECONDS = 1.0  # GNU timeout sends SIGTERM to a command, and then to its group


def interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, delayed while `logging` acquires its lock.

    An interrupt between acquiring the lock and entering the block that releases it
    would deadlock every thread that logs.
    """
    frame = _interrupted(frame)
    if frame is not None and frame.f_globals.get("__name__") == "logging":
        _send_again(number)
        return
    raise KeyboardInterrupt


def _interrupted(frame: FrameType | None) -> FrameType | None:
    """The frame that an exception would leave.

    A signal that was sent again can come while this handler still starts the timer of
    the one before, on a busy machine. Then it is the frame that this was called in.
    """
    here = frame
    while here is not None:
        if here.f_code is interrupt.__code__:
            frame = here.f_locals["frame"]
        here = here.f_back
    return frame


def _send_again(number: int) -> None:
    again = threading.Timer(RETRY_SECONDS, os.kill, (os.getpid(), number))
    again.daemon = True
    again.start()


def handle_signals() -> None:
    """Let Ctrl-C and SIGTERM raise KeyboardInterrupt, also amid garbage collection.

    There Python drops an exception of a handler, after a call of its hook.
    """
    for number in (signal.SIGINT, signal.SIGTERM):  # a background job has SIGINT off
        signal.signal(number, interrupt)
    sys.unraisablehook = _unraisable


def _unraisable(dropped: Any) -> None:
    if issubclass(dropped.exc_type, KeyboardInterrupt):
        _send_again(signal.SIGINT)
    else:
        sys.__unraisablehook__(dropped)


class Deferral:
    """Defers a signal until the work reaches a safe point.

    A second signal is not deferred, nor is the first after `interrupt_now`.

    Attributes:
        is_critical: whether `interrupt_now` waits as well.
        is_urgent: whether `interrupt_now` was called.
    """

    def __init__(self, *, is_critical: bool) -> None:
        self.is_critical, self.is_urgent = is_critical, False
        self.handlers: dict[int, Any] = {}
        self._waiting, self._since = 0, 0.0

    @property
    def is_requested(self) -> bool:
        """Whether a signal is waiting."""
        return self._waiting > 0

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Note a first signal; run its handler at a second one."""
        if not self.is_requested:
            self._since = time.monotonic()
        elif number == self._waiting == signal.SIGTERM:
            if time.monotonic() - self._since < DOUBLED_SECONDS:
                return
        is_second, self._waiting = self.is_requested, number
        if is_second or self.is_urgent:
            self.act(frame)

    def act(self, frame: FrameType | None = None) -> None:
        """Run the previous handler of the pending signal, if there is one."""
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
    """Defer a first Ctrl-C or SIGTERM, at the latest until the block ends.

    Then its previous handler runs, since Prefect's distinguishes SIGTERM from Ctrl-C.
    The Ctrl-C handler of another library is not replaced.

    Args:
        more: other signals to defer.
        is_critical: whether `interrupt_now` is deferred, too.
    """
    deferral = Deferral(is_critical=is_critical)
    if threading.current_thread() is threading.main_thread() and is_ours_or_default(
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
    """Interrupt the main thread, even if a first signal would be deferred.

    Args:
        thread: the main thread.

    Returns:
        whether it was interrupted; False within a critical block, and if another
        library has set a handler.
    """
    handler = signal.getsignal(signal.SIGINT)
    if not is_ours_or_default(handler):
        return False
    deferral = getattr(handler, "__self__", None)
    if isinstance(deferral, Deferral):
        deferral.is_urgent = True
    signal.pthread_kill(thread.ident or 0, signal.SIGINT)
    return True


def is_ours_or_default(handler: Any) -> bool:
    """Whether this handler interrupts the main thread, and is ours or Python's."""
    deferral = getattr(handler, "__self__", None)
    if isinstance(deferral, Deferral):
        return not deferral.is_critical
    return handler in (interrupt, signal.default_int_handler)
