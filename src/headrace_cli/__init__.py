"""The ``headrace`` command, a file per family of commands."""

import gc
import sys


def first_word() -> str:
    """The command, known before the options are parsed; empty if there is none."""
    return next((word for word in sys.argv[1:] if not word.startswith("-")), "")


def collect_seldom() -> None:
    """Look for garbage seldom: imports allocate much, and keep it."""
    gc.set_threshold(400_000, 10, 10)
