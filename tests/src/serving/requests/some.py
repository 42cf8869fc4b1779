"""Rows of a log, and what is in one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from headrace.serving.requests.columns import SCHEMA
from headrace.serving.requests.files import Hour, new_file, root_of
from headrace.serving.requests.reading import Asked, read_requests
from headrace.settings import Settings

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def log_rows(ids: Sequence[int], start: datetime = NOON, **values: Any) -> pa.Table:
    """A row a second for each number, which is its request id too."""
    rows = [
        {
            "request_id": str(number),
            "row": 0,
            "time": start + timedelta(seconds=number),
            "model": "digits",
            "version": 2,
            "role": "champion",
            "item": f"{number:064x}",
            "answer": "7",
            "outputs": [0.25, 0.75],
            "latency_ms": 1.0,
            "engine": "onnx",
            **values,
        }
        for number in ids
    ]
    return pa.Table.from_pylist(rows, SCHEMA)


def put(
    settings: Settings,
    ids: Sequence[int],
    start: datetime = NOON,
    model: str = "digits",
    **values: Any,
) -> None:
    """Write a file of such rows."""
    table = log_rows(ids, start, model=model, **values)
    hour = Hour.of(root_of(settings.home), model, start)
    with new_file(hour, table.schema) as writer:
        writer.write_table(table)


def write(
    settings: Settings,
    ids: Sequence[int],
    start: datetime = NOON,
    model: str = "digits",
    **values: Any,
) -> Path:
    """Write a file of such rows; its path, where no other process writes."""
    hour = Hour.of(root_of(settings.home), model, start)
    before = set(hour.paths())
    put(settings, ids, start, model, **values)
    (path,) = set(hour.paths()) - before
    return path


def ids_of(settings: Settings, model: str = "digits", **asked: Any) -> list[int]:
    """The request ids of a log, sorted."""
    tables = read_requests(Asked(model, **asked), settings)
    return sorted(int(i) for t in tables for i in t["request_id"].to_pylist())


def paths(settings: Settings) -> list[Path]:
    """All files of the logs, hidden ones and locks left out."""
    return sorted(root_of(settings.home).rglob("[!.]*.parquet"))
