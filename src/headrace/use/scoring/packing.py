"""Chunks of a source, and rows with answers, as Arrow streams."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.media.chunks import CHUNK_BYTES, Chunk
from headrace.stages.ingestion.chunks import columns_of, with_rows

ROWS = 8192  # of a part, at which no further chunk is added
_FACTS = b"headrace"  # the key of what is no column


def packed(chunks: Iterable[Chunk]) -> Iterator[bytes]:
    """Parts as Arrow streams of chunks; two differ, whatever is in them."""
    group = list[tuple[pa.RecordBatch, dict[str, Any]]]()
    for number, chunk in enumerate(chunks):
        facts = {"number": number, **_facts(chunk)}
        if group and facts["form"] != group[0][1]["form"]:
            yield as_stream(group)
            group = []
        group.append((pa.record_batch(columns_of(chunk)), facts))
        batches = [batch for batch, _ in group]
        is_full = sum(map(len, batches)) >= ROWS
        if is_full or sum(batch.nbytes for batch in batches) >= CHUNK_BYTES:
            yield as_stream(group)
            group = []
    if group:
        yield as_stream(group)


def _facts(chunk: Chunk) -> dict[str, Any]:
    """What is no row of a chunk; the form is the type and the shape of an array."""
    items, form = chunk.items, list[Any]()
    if isinstance(items, np.ndarray):
        form = [items.dtype.str, *items.shape[1:]]
    rest = replace(chunk, items=[], labels=[], names=[], groups=[])
    return {"form": form, "chunk": asdict(rest)}


def unpacked(data: bytes) -> Iterator[Chunk]:
    """The chunks of a part that `packed` has made."""
    for rows, facts in of_stream(data):
        rest = Chunk(**facts["chunk"])
        if facts["form"]:
            dtype, *shape = facts["form"]
            rest = replace(rest, items=np.empty((0, *shape), dtype))
        yield with_rows(rest, pa.Table.from_batches([rows]))


def as_stream(batches: Iterable[tuple[pa.RecordBatch, dict[str, Any]]]) -> bytes:
    """Rows, and what is said of some together, as an Arrow stream."""
    sink = pa.BufferOutputStream()
    with contextlib.ExitStack() as files:
        writer = None
        for rows, facts in batches:
            if writer is None:
                writer = files.enter_context(pa.ipc.new_stream(sink, rows.schema))
            text = json.dumps(facts, default=np.generic.item)  # of NumPy's numbers
            writer.write_batch(rows, {_FACTS: text})
    return bytes(sink.getvalue())


def of_stream(data: bytes) -> Iterator[tuple[pa.RecordBatch, dict[str, Any]]]:
    """What `as_stream` was given."""
    with pa.ipc.open_stream(data) as reader:
        for one in reader.iter_batches_with_custom_metadata():
            yield one.batch, json.loads(one.custom_metadata[_FACTS])
