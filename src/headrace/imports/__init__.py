"""Imports of other people's packages, without what is slow and of no use here."""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any


@contextlib.contextmanager
def hidden(names: Iterable[str]) -> Iterator[None]:
    """Make modules that are not imported yet appear to be missing, to all threads."""
    absent = [name for name in names if name not in sys.modules]
    for name in absent:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)


def put_off(name: str) -> None:
    """Have a package imported when something of it is used, not by ``import``."""
    if name not in sys.modules:
        sys.modules[name] = _PutOff(name)


class _PutOff(ModuleType):
    """Stands for a package, also after that was imported."""

    _lock = threading.RLock()

    def __getattr__(self, attribute: str) -> Any:
        with self._lock:
            if sys.modules.get(self.__name__) is self:
                del sys.modules[self.__name__]
            package = importlib.import_module(self.__name__)
        return getattr(package, attribute)


def load_jsonschema() -> None:
    """Import jsonschema, which Prefect and Great Expectations use.

    Where ``rfc3987_syntax`` is installed, as with Jupyter, it would compile the grammar
    of international URIs, which takes a second. No schema here has such a field.
    """
    with hidden(["rfc3987_syntax"]):
        import jsonschema  # noqa: F401
