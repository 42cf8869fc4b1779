"""Readers, one file format a file. They know formats, not media.

A reader yields chunks of rows as the file holds them; a medium decodes them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.sources.chunks import Chunk, Reading, Source
    from headrace.sources.opening import check_source, open_source

__all__ = ["Chunk", "Reading", "Source", "check_source", "open_source"]

_PLACES = dict.fromkeys(("Chunk", "Reading", "Source"), "chunks")


def __getattr__(name: str) -> Any:
    """Imported when asked for: a run that changes nothing reads no source."""
    if name in __all__:
        module = importlib.import_module(f"{__name__}.{_PLACES.get(name, 'opening')}")
        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
