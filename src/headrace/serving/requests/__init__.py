"""The log of what a server was asked: its files, merging them, and reading them.

They are ``<home>/requests/<model>/<YYYY-MM-DD>/<HH>-<unique>.parquet``, by UTC. A file
is written whole or not at all and never changed. Files of an hour are merged into one:
the merged file names those that it replaces, so that a reader counts no row twice,
whenever the process that merges is killed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.serving.requests.reading import (
        logged_models,
        read_requests,
        request_table,
    )

__all__ = ["logged_models", "read_requests", "request_table"]


def __getattr__(name: str) -> Any:
    """Reading is imported when it is used: a server only writes."""
    if name not in __all__:
        raise AttributeError(name)
    from headrace.serving.requests import reading

    return getattr(reading, name)
