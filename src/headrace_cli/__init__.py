"""The ``headrace`` command, a file per family of commands."""

import atexit
import contextlib
import gc
import logging
import os
import sys
from typing import NoReturn

LASTING = ("serve", "up", "worker")  # they run until Ctrl-C
_code: list[int] = []  # with which the process ends


def first_word() -> str:
    """The command, known before the options are parsed; empty if there is none."""
    return next((word for word in sys.argv[1:] if not word.startswith("-")), "")


def collect_seldom() -> None:
    """Look for garbage seldom, since imports make many objects that stay.

    Servers look more often, to bound their memory.
    """
    gc.set_threshold(50_000 if first_word() in LASTING else 400_000, 10, 10)


def leave_at_once() -> None:
    """End as soon as all else is done: to free TensorFlow's objects takes 0.2 s.

    To be called before anything else is registered for the end, so that it comes last.
    """
    atexit.register(_leave)


def end_with(code: int) -> NoReturn:
    """End with an exit code, after all else that is to be done."""
    _code.append(code)
    sys.exit(code)


def _leave() -> None:
    with contextlib.suppress(OSError, ValueError):  # of which Python tells at its end
        logging.shutdown()  # Python would call it after this
        sys.stdout.flush()
        sys.stderr.flush()
        if _code:
            os._exit(_code[0])
