"""Reads the request log while servers write, settle and delete its files."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from headrace.errors import DependencyError, IntegrityError
from headrace.serving.requests.columns import COLUMN, SCHEMA
from headrace.serving.requests.contents import LogFile
from headrace.serving.requests.files import Hour, hours, models, root_of
from headrace.settings import Settings

_TRIES = 20  # of opening an hour's files before one of them is deleted
log = logging.getLogger("headrace")


class Asked(NamedTuple):
    """Which rows of a log to read.

    Attributes:
        model: its name.
        version: None: all of them.
        role: champion, pinned, shadow or try; None: all of them.
        since, until: the first moment, and the first after the last; with a time zone.
            None: from the beginning, or to the end.
        columns: to read; None: all of them.
        left_out: takes why a file is left out, each once; None: it is logged.
    """

    model: str
    version: int | None = None
    role: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    columns: Sequence[str] | None = None
    left_out: dict[str, None] | None = None


def logged_models(settings: Settings) -> list[str]:
    """The models that have a request log."""
    return models(root_of(settings.home))


def read_requests(asked: Asked, settings: Settings) -> Iterator[pa.Table]:
    """The rows of a request log in parts, hour by hour; each row once.

    The files may be written, settled and deleted meanwhile. Within an hour, rows are in
    no order. A damaged file is left out, and told.

    Args:
        asked: which rows.
        settings: of the home.

    Yields:
        tables of at least one row. Their columns are those of `columns.SCHEMA`,
        ``column_<name>`` of the medium and perhaps ``input``, or those that were asked
        for and that the files have.
    """
    for hour in _hours(asked, settings):
        yield from _hour(hour, asked)


def hours_backwards(asked: Asked, settings: Settings) -> Iterator[Iterator[pa.Table]]:
    """The same parts by hours, the newest hour first."""
    for hour in reversed(_hours(asked, settings)):
        yield _hour(hour, asked)


def _hours(asked: Asked, settings: Settings) -> list[Hour]:
    return [
        hour
        for hour in hours(root_of(settings.home), asked.model)
        if asked.since is None or hour.end > asked.since
        if asked.until is None or hour.start < asked.until
    ]


def request_table(asked: Asked, settings: Settings) -> pa.Table:
    """The same rows as one table, by time.

    Rows of files without a column have nulls in it. Without rows, it has the columns
    that every file has.
    """
    names = asked.columns
    if names is not None and "time" not in names:
        asked = asked._replace(columns=[*names, "time"])
    tables = list(read_requests(asked, settings))
    if not tables:
        table = SCHEMA.empty_table()
        return table if names is None else table.select(_present(names, SCHEMA))
    table = pa.concat_tables(tables, promote_options="default").sort_by("time")
    return table if names is None else table.select(_present(names, table.schema))


def column_names(schema: pa.Schema) -> list[str]:
    """The medium's columns in a schema, without their prefix."""
    return [n.removeprefix(COLUMN) for n in schema.names if n.startswith(COLUMN)]


def _present(names: Sequence[str], schema: pa.Schema) -> list[str]:
    return [name for name in names if name in schema.names]


def _hour(hour: Hour, asked: Asked) -> Iterator[pa.Table]:
    names = None
    if asked.columns is not None:
        names = [*dict.fromkeys([*asked.columns, "version", "role", "time"])]
    with contextlib.ExitStack() as stack:
        for file in opened(hour, stack):
            try:
                for table in file.tables(names):
                    chosen = _chosen(table, asked)
                    if len(chosen):
                        yield chosen
            except IntegrityError as error:
                why = f"{error.message} It is left out."
                if asked.left_out is None:
                    log.warning("%s", why)
                else:
                    asked.left_out[why] = None


def _chosen(table: pa.Table, asked: Asked) -> pa.Table:
    time = pc.field("time")
    conditions: list[tuple[object, pc.Expression]] = [
        (asked.version, pc.field("version") == asked.version),
        (asked.role, pc.field("role") == asked.role),
    ]
    if asked.since is not None:
        conditions.append((asked.since, time >= _moment(asked.since)))
    if asked.until is not None:
        conditions.append((asked.until, time < _moment(asked.until)))
    for value, condition in conditions:
        if value is not None:
            table = table.filter(condition)
    names = asked.columns
    return table if names is None else table.select(_present(names, table.schema))


def _moment(moment: datetime) -> pa.Scalar:
    return pa.scalar(moment, pa.timestamp("us", "UTC"))


def opened(hour: Hour, stack: contextlib.ExitStack) -> list[LogFile]:
    """The files of an hour at one moment, open until a stack is closed.

    Files that are open can be read after they were deleted. If one was deleted before
    it was opened, the Parquet file that it has become is there now.
    """
    for _ in range(_TRIES):
        files = contextlib.ExitStack()
        try:
            log_files = [files.enter_context(LogFile(path)) for path in hour.paths()]
        except FileNotFoundError:
            files.close()
            continue
        stack.push(files)
        return log_files
    raise DependencyError(
        f"The files of the request log in {hour.folder} were replaced {_TRIES} times "
        "while they were opened.",
        "Run the same command again.",
    )
