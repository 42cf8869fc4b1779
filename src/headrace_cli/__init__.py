"""The ``headrace`` command, a file per family of commands."""

import gc
import sys

LASTING = ("serve", "up", "worker")  # they run until Ctrl-C


def first_word() -> str:
    """The command, known before the options are parsed; empty if there is none."""
    return next((word for word in sys.argv[1:] if not word.startswith("-")), "")


def collect_seldom() -> None:
    """Look for garbage seldom, since imports make many objects that stay.

    Servers look more often, to bound their memory.
    """
    gc.set_threshold(50_000 if first_word() in LASTING else 400_000, 10, 10)
