"""The columns of the request log."""

from __future__ import annotations

import pyarrow as pa

COLUMN = "column_"  # prefix of the medium's columns
INPUT = "input"

# The columns that every file has; `COLUMN` ones and perhaps `INPUT` follow.
SCHEMA = pa.schema(
    {
        "request_id": pa.string(),
        "row": pa.int32(),
        "time": pa.timestamp("us", "UTC"),
        "model": pa.string(),
        "version": pa.int32(),
        "role": pa.string(),
        "item": pa.string(),
        "answer": pa.string(),
        "outputs": pa.list_(pa.float32()),
        "latency_ms": pa.float64(),
        "engine": pa.string(),
    }
)
