"""The log of what a server was asked: its files, and reading them.

They are in ``<home>/requests/<model>/<YYYY-MM-DD>/``, by UTC. A process appends the
rows of an hour to ``<HH>-<unique>.arrows``, a stream of Arrow. Once the hour is over it
becomes ``<HH>-<unique>.parquet``, and where both are there, that one counts: so no row
is read twice, whenever a process is killed.
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
