"""Sources of data: places, readers of file formats, and a catalog.

A reader yields chunks of rows as the source has them; a medium decodes them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.data.sources.opening import check_source, open_source

__all__ = ["check_source", "open_source"]


def __getattr__(name: str) -> Any:
    """Import on first use: a run that changes nothing reads no source."""
    if name in __all__:
        return getattr(importlib.import_module(f"{__name__}.opening"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
