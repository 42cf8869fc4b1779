"""Rows of a log, and what is in one."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa

from headrace.state.requests import SCHEMA, Asked, new_key, read_requests, write_part

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def log_rows(ids, start=NOON, **values):
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


def write(store, ids, start=NOON, model="digits", **values):
    """Write a part of such rows; returns its key."""
    key = new_key(model, start)
    write_part(store, key, log_rows(ids, start, model=model, **values))
    return key


def ids_of(store, model="digits", **asked):
    """The request ids of a log, sorted."""
    tables = read_requests(Asked(model, **asked), store)
    return sorted(int(i) for t in tables for i in t["request_id"].to_pylist())
