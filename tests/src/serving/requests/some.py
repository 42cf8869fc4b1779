"""Rows of a log, and what is in one."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa

from headrace.serving.requests.columns import SCHEMA
from headrace.serving.requests.contents import Stream
from headrace.serving.requests.files import Hour, parquet_of, root_of
from headrace.serving.requests.reading import Asked, read_requests
from headrace.serving.requests.settling import settle

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


def hour_of(settings, model="digits", start=NOON):
    """An hour of a log."""
    return Hour.of(root_of(settings.home), model, start)


def stream(settings, ids, start=NOON, model="digits", **values):
    """Write a stream of such rows, in two parts if it has several."""
    table = log_rows(ids, start, model=model, **values)
    made = Stream(hour_of(settings, model, start), table.schema)
    for part in (table[:1], table[1:]):
        assert not len(part) or made.append(part)
    return made.path


def write(settings, ids, *args, **options):
    """Write a Parquet file of such rows."""
    path = stream(settings, ids, *args, **options)
    settle(path)
    return parquet_of(path)


def ids_of(settings, model="digits", **asked):
    """The request ids of a log, sorted."""
    tables = read_requests(Asked(model, **asked), settings)
    return sorted(int(i) for t in tables for i in t["request_id"].to_pylist())


def paths(settings):
    """All files of the logs, also hidden ones."""
    return sorted(p for p in root_of(settings.home).rglob("*") if p.is_file())
