"""The log of what servers were asked: its columns, its parts in the store, reading.

The parts are Parquet files ``requests/<model>/<YYYY-MM-DD>/<HH>/<unique>.parquet``, by
UTC. Each is written whole or not at all, under a name of its own, and never changed.
So any number of servers write, read and delete parts without a lock.
"""

from __future__ import annotations

import contextlib
import operator
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from functools import partial, reduce
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headrace.errors import IntegrityError
from headrace.state.store import Store

FOLDER = "requests"
COLUMN = "column_"  # prefix of the medium's columns
INPUT = "input"
# The columns that every part has; `COLUMN` ones and perhaps `INPUT` follow.
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
_SUFFIX = ".parquet"
_PARTS_AT_ONCE = 8  # of 16 MiB each, at most
# Outputs and statistics do not compress as dictionaries.
_DICTIONARIES = ["model", "role", "answer", "engine"]


class Asked(NamedTuple):
    """Which rows of a log to read.

    Attributes:
        model: its name.
        version: None: all of them.
        role: champion, pinned, shadow or try; None: all of them.
        since: the first moment, with a time zone; None: from the beginning.
        columns: of `SCHEMA`, to read; None: all that a part has.
        left_out: takes why a damaged part is left out, once; None: it is an error.
    """

    model: str
    version: int | None = None
    role: str | None = None
    since: datetime | None = None
    columns: Sequence[str] | None = None
    left_out: dict[str, None] | None = None


def new_key(model: str, hour: datetime) -> str:
    """The key of a new part with rows of an hour, in UTC."""
    return f"{FOLDER}/{model}/{hour:%Y-%m-%d/%H}/{uuid.uuid4().hex}{_SUFFIX}"


def write_part(store: Store, key: str, rows: pa.Table) -> None:
    """Write a part; raises HeadraceError or OSError if the store does not take it."""
    data = pa.BufferOutputStream()
    pq.write_table(rows, data, compression="zstd", use_dictionary=_DICTIONARIES)
    store.write(key, data.getvalue().to_pybytes())


def read_requests(asked: Asked, store: Store) -> Iterator[pa.Table]:
    """The rows of a request log, hour by hour; see `hours_backwards`."""
    for tables in reversed([*hours_backwards(asked, store)]):
        yield from tables


def hours_backwards(asked: Asked, store: Store) -> Iterator[Iterator[pa.Table]]:
    """The rows of a request log, the newest hour first.

    Parts may be written and deleted meanwhile. Within an hour, rows are in no order.

    Args:
        asked: which rows.
        store: that has the log.

    Yields:
        for each hour its tables, of at least one row. Their columns are those of
        `SCHEMA`, ``column_<name>`` of the medium and perhaps ``input``, or those that
        were asked for.

    Raises:
        IntegrityError: a part is damaged, and may not be left out.
    """
    for hour, start in reversed(_hours(store, asked.model)):
        if asked.since is None or start + timedelta(hours=1) > asked.since:
            yield _tables(hour, asked, store)


def _tables(hour: str, asked: Asked, store: Store) -> Iterator[pa.Table]:
    own = {"version": asked.version, "role": asked.role}
    wanted = [pc.field(n) == value for n, value in own.items() if value is not None]
    if asked.since is not None:
        moment = pa.scalar(asked.since, SCHEMA.field("time").type)
        wanted.append(pc.field("time") >= moment)
    condition = reduce(operator.and_, wanted) if wanted else None
    read = partial(_read_part, store, asked.columns, condition, asked.left_out)
    yield from (rows for _, rows in _read_hour(store, hour, read) if len(rows))


def _read_hour(
    store: Store, hour: str, read: Callable[[str], pa.Table]
) -> Iterator[tuple[str, pa.Table]]:
    """The key of each part in an hour's folder with its rows; some are read at once."""
    names = [name for name in store.names(hour) if name.endswith(_SUFFIX)]
    with ThreadPoolExecutor(_PARTS_AT_ONCE) as pool:
        for first in range(0, len(names), _PARTS_AT_ONCE):
            keys = [f"{hour}/{one}" for one in names[first : first + _PARTS_AT_ONCE]]
            yield from zip(keys, pool.map(read, keys), strict=True)


def _read_part(
    store: Store,
    columns: Sequence[str] | None,
    wanted: pc.Expression | None,
    left_out: dict[str, None] | None,
    key: str,
) -> pa.Table:
    """Rows of a part, none if it was deleted; a damaged one is left out, or raises."""
    names = columns and [*columns]
    try:
        source = pa.BufferReader(store.read(key))
        return pq.read_table(source, columns=names, filters=wanted, use_threads=False)
    except FileNotFoundError:
        return SCHEMA.empty_table()
    except (pa.ArrowException, OSError) as error:
        first = str(error).strip().partition("\n")[0].rstrip(".")
        message = f"The request log {store.uri(key)} cannot be read: {first}."
        if left_out is None:
            again = "It may have the item. Delete it, and run the same command again."
            raise IntegrityError(message, again) from error
        left_out[f"{message} It is left out."] = None
        return SCHEMA.empty_table()


def days(store: Store) -> Iterator[tuple[str, date]]:
    """The key of each day's folder, of all models, and its date."""
    for model in store.names(FOLDER):
        for name in store.names(f"{FOLDER}/{model}"):
            with contextlib.suppress(ValueError):
                yield f"{FOLDER}/{model}/{name}", date.fromisoformat(name)


def _hours(store: Store, model: str) -> list[tuple[str, datetime]]:
    """The key of each hour's folder of a model, and its start, oldest first."""
    found = list[tuple[str, datetime]]()
    for day in store.names(f"{FOLDER}/{model}"):
        for hour in store.names(f"{FOLDER}/{model}/{day}"):
            with contextlib.suppress(ValueError):
                start = datetime.fromisoformat(f"{day}T{hour}:00Z")
                found.append((f"{FOLDER}/{model}/{day}/{hour}", start))
    return found


def expire(store: Store, keep_days: int, today: date | None = None) -> None:
    """Delete the days that lie ``keep_days`` or more before today, in UTC."""
    today = today or datetime.now(UTC).date()
    for folder, day in list(days(store)):
        if (today - day).days >= keep_days:
            store.delete_folder(folder)


def parts_with(
    store: Store, chooses: Callable[[Sequence[str]], npt.NDArray[np.bool_]]
) -> dict[str, list[str]]:
    """The keys of the parts that have chosen items, by model.

    Args:
        store: that has the log.
        chooses: whether each item is meant, by its sha256 in hex, bool ``(n,)``.

    Raises:
        IntegrityError: a part is damaged.
    """
    found = defaultdict[str, list[str]](list)
    read = partial(_read_part, store, ["item"], None, None)
    for model in store.names(FOLDER):
        for hour, _ in _hours(store, model):
            for key, rows in _read_hour(store, hour, read):
                if np.any(chooses(rows["item"].to_pylist())):
                    found[model].append(key)
    return dict(found)
