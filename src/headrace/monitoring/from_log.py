"""A batch from the request log of the server."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.media import medium
from headrace.media.forms import Payload
from headrace.monitoring.batches import Batch, Texts
from headrace.monitoring.late_labels import LateLabels, request_key
from headrace.records import DataDescription
from headrace.settings import Settings
from headrace.state.home import Home
from headrace.state.ledger import Version
from headrace.state.requests import (
    COLUMN,
    INPUT,
    SCHEMA,
    Asked,
    hours_backwards,
    read_requests,
)
from headrace.tasks import task
from headrace.tasks.forms import Outputs

LOG = "log"
_SLACK = 4  # times the wanted rows are held before the oldest are dropped
_LEAST_HELD = 8192
_KEYS = ("request_id", "row", "item", "time", "outputs", "role")


def batch_from_log(
    version: Version,
    data: DataDescription,
    most_rows: int,
    settings: Settings,
    since: datetime | None = None,
) -> Batch:
    """The newest items that a version was asked about, each in its newest request.

    Its role does not matter, but what somebody tried by hand does not count.

    Args:
        version: of the ledger.
        data: that it was trained on.
        most_rows: the number of different items.
        settings: of the home with the log.
        since: the earliest time, with a time zone; None: any.
    """
    newest, items, repeats = list[pa.Table](), set[str](), list[pa.Table]()
    left_out = dict[str, None]()
    asked = Asked(version.model, version.version, None, since, left_out=left_out)
    for tables in hours_backwards(asked, Home(settings).store):
        if len(items) >= most_rows:
            break
        table, again = _newest(tables, most_rows - len(items), items)
        newest.append(table)
        items.update(table["item"].to_pylist())
        repeats.append(again)
    table = (
        pa.concat_tables(newest[::-1], promote_options="default") if newest else None
    )
    if table is None or not len(table):
        return replace(_empty(data), notes=tuple(left_out))
    batch = _batch(table, data)
    others = pa.concat_tables(repeats)
    if len(items) >= most_rows:  # what is before the window is none of it
        others = others.filter(pc.field("time") >= table["time"][0])
    notes = (*batch.notes, *left_out)
    return replace(batch, repeats=len(others), notes=notes)


def labelled_from_log(
    version: Version,
    data: DataDescription,
    labels: LateLabels,
    settings: Settings,
) -> Batch:
    """All requests of a version in the log that have a label, by time.

    What somebody tried by hand does not count. The notes are on files that are left
    out.
    """
    left_out = dict[str, None]()
    asked = Asked(version.model, version.version, columns=_KEYS, left_out=left_out)
    tables = list[pa.Table]()
    keys = pa.array(labels.labels, pa.string())
    for table in map(_not_tried, read_requests(asked, Home(settings).store)):
        if labels.key == "item":
            wanted = pc.is_in(table["item"], keys)
        else:
            wanted = pc.is_in(pa.array(_request_keys(table), pa.string()), keys)
        tables.append(table.filter(wanted))
    table = pa.concat_tables(tables, promote_options="default") if tables else None
    if table is None or not len(table):
        return replace(_empty(data), notes=tuple(left_out))
    batch = _batch(table.sort_by("time"), data)
    return replace(batch, labels=labels.of(batch), notes=tuple(left_out))


def _not_tried(table: pa.Table) -> pa.Table:
    return table.filter(pc.field("role") != "try")


def _newest(
    tables: Iterator[pa.Table], most: int, excluded: Collection[str]
) -> tuple[pa.Table, pa.Table]:
    """The newest rows of tables by time, each item once, a bounded number at once.

    Args:
        tables: of one hour.
        most: the number of rows.
        excluded: items that do not count.

    Returns:
        the rows, and the times of others whose item is in a newer row.
    """
    held, repeats = [SCHEMA.empty_table()], [SCHEMA.empty_table().select(["time"])]
    for table in map(_not_tried, tables):
        held.append(table)
        if sum(map(len, held)) > max(_SLACK * most, _LEAST_HELD):
            last, again = _last(held, most, excluded)
            held = [last]
            repeats.append(again)
    last, again = _last(held, most, excluded)
    return last, pa.concat_tables([*repeats, again])


def _last(
    tables: list[pa.Table], most: int, excluded: Collection[str]
) -> tuple[pa.Table, pa.Table]:
    table = pa.concat_tables(tables, promote_options="default").sort_by("time")
    newest, repeats = dict[str, int](), list[int]()
    for place, item in reversed(list(enumerate(table["item"].to_pylist()))):
        if len(newest) == most:
            break
        if item in newest or item in excluded:
            repeats.append(place)
        else:
            newest[item] = place
    places = pa.array(sorted(newest.values()), pa.int64())
    again = table.select(["time"]).take(pa.array(repeats, pa.int64()))
    return table.take(places).combine_chunks(), again


def _batch(table: pa.Table, data: DataDescription) -> Batch:
    """The rows of a log, which are sorted by time; those without outputs are noted."""
    left_out, notes = table["outputs"].null_count, tuple[str, ...]()
    if left_out:
        table = table.filter(pc.is_valid(table["outputs"]))
        notes = (
            f"{left_out:,} answers have too many values for the request log, and are "
            "left out; name a data set to monitor instead",
        )
    if not len(table):
        return replace(_empty(data), notes=notes)
    times = table["time"]
    columns = [  # rows of an older release may lack some
        name
        for name in table.schema.names
        if name.startswith(COLUMN) and not table[name].null_count
    ]
    return Batch(
        source=LOG,
        outputs=_outputs(table, _shape_of(data)),
        columns={n.removeprefix(COLUMN): _numbers(table[n]) for n in columns},
        items=_texts(table["item"]),
        labels=np.full(len(table), "", object),
        inputs=_inputs(table, data),
        first=times[0].as_py(),
        last=times[len(table) - 1].as_py(),
        ids={"request_id": np.array(_request_keys(table), object)},
        notes=notes,
    )


def _empty(data: DataDescription) -> Batch:
    nothing = np.empty(0, object)
    ids = {"request_id": nothing}
    outputs = np.zeros((0, *map(abs, _shape_of(data))), np.float32)
    return Batch(LOG, outputs, {}, nothing, nothing, ids=ids)


def _shape_of(data: DataDescription) -> tuple[int, ...]:
    """The shape of one answer; -1 for a side that is known from its values only."""
    return task(data.task).head.output_shape(data)


def _request_keys(table: pa.Table) -> list[str]:
    ids, rows = table["request_id"].to_pylist(), table["row"].to_pylist()
    return [request_key(one, row or 0) for one, row in zip(ids, rows, strict=True)]


def _outputs(table: pa.Table, shape: tuple[int, ...]) -> Outputs:
    flat = np.asarray(pc.list_flatten(table["outputs"]), np.float32)
    return flat.reshape(len(table), *shape)


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(column.to_numpy(), np.float64)


def _texts(column: pa.ChunkedArray) -> Texts:
    return np.array(column.to_pylist(), object)


def _inputs(table: pa.Table, data: DataDescription) -> Payload | None:
    """The items, where all of them were logged."""
    if INPUT not in table.schema.names or table[INPUT].null_count:
        return None
    module = medium(data.medium)
    kind = module.as_column(np.zeros((0, *data.shape), module.DTYPE)).type
    column = table[INPUT].combine_chunks()
    return module.from_column(column.cast(kind), data.shape)
