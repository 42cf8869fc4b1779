"""Imports of other people's packages, without what is slow and of no use here."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator


@contextlib.contextmanager
def hidden(names: Iterable[str]) -> Iterator[None]:
    """Make modules that are not imported yet appear to be missing."""
    absent = [name for name in names if name not in sys.modules]
    for name in absent:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def load_jsonschema() -> None:
    """Import jsonschema, which Prefect and Great Expectations use.

    Where ``rfc3987_syntax`` is installed, as with Jupyter, it would compile the grammar
    of international URIs, which takes a second. No schema here has such a field.
    """
    with hidden(["rfc3987_syntax"]):
        import jsonschema  # noqa: F401
