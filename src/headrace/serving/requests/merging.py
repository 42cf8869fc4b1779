"""Merges the many small files that a server writes in an hour.

One process merges a model's files at a time. Others go on writing new ones.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.home import make_private_file
from headrace.serving.requests.files import (
    Hour,
    hours,
    models,
    new_file,
    replaced_by,
    sweep_temporary,
)

MANY = 64  # small files of the current hour that are worth merging
SMALL_BYTES = 2**20
GROUP_ROWS, GROUP_BYTES = 65_536, 32 * 2**20  # of a row group: bounds the memory
_GRACE = timedelta(seconds=30)  # in which rows of the last hour still come
_STALE_SECONDS = 3600.0
_LOCK = ".merging"
log = logging.getLogger("headrace")


def merge_all(
    root: Path, now: datetime | None = None, stop: Callable[[], bool] = bool
) -> int:
    """Merge the files of all hours that are over, and many small ones of this hour.

    Idempotent, and safe beside other processes. A model whose files another process
    merges is left out. Files that a killed process has replaced are deleted.

    Args:
        root: see `files.root_of`.
        now: UTC; None: by the clock.
        stop: asked between steps; when true, the rest is left undone.

    Returns:
        the number of files that were merged into others.

    Raises:
        OSError: a file cannot be written, as where the disk is full; the old files
            stay.
    """
    now = now or datetime.now(UTC)
    count = 0
    for model in models(root):
        with only_one(root / model) as ours:
            if not ours:
                continue
            folders = set()
            for hour, paths in hours(root, model).items():
                if stop():
                    return count
                folders.add(hour.folder)
                count += _merge_hour(hour, paths, now, stop)
            for folder in folders:
                sweep_temporary(folder, _STALE_SECONDS)
    return count


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[bool]:
    """Whether no other process merges the files of a model in this block."""
    path = folder / _LOCK
    make_private_file(path)
    with path.open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def delete_replaced(footers: Mapping[Path, pq.FileMetaData]) -> list[Path]:
    """Delete the files of an hour whose rows another one has.

    A process that was killed has left them. They must go before the file that replaces
    them does: else they would count again.
    """
    replaced = set().union(*map(replaced_by, footers.values()))
    gone = [path for path in footers if path.name in replaced]
    for path in gone:
        path.unlink()
    return gone


def _merge_hour(
    hour: Hour, paths: Sequence[Path], now: datetime, stop: Callable[[], bool]
) -> int:
    if len(paths) < 2:
        return 0
    footers = _footers(paths)
    for path in delete_replaced(footers):
        del footers[path]
    is_over = now >= hour.end + _GRACE
    small = [path for path in footers if path.stat().st_size < SMALL_BYTES]
    chosen = list(footers) if is_over else small if len(small) >= MANY else []
    if len(chosen) < 2:
        return 0
    try:
        schema = pa.unify_schemas(
            [
                footers[path].schema.to_arrow_schema().remove_metadata()
                for path in chosen
            ]
        )
    except pa.ArrowException as error:
        log.warning("files of %s are of different types, not merged: %s", hour, error)
        return 0
    try:
        _merge(hour, chosen, schema, stop)
    except _StoppedError:
        return 0
    for path in chosen:
        path.unlink()
    return len(chosen)


class _StoppedError(Exception):
    """The process that merges is to end."""


def _merge(
    hour: Hour, paths: Sequence[Path], schema: pa.Schema, stop: Callable[[], bool]
) -> None:
    waiting: list[pa.Table] = []
    with new_file(hour, schema, [path.name for path in paths]) as writer:
        for table in _groups(paths):
            if stop():
                raise _StoppedError
            rows = len(table) + sum(map(len, waiting))
            size = table.nbytes + sum(part.nbytes for part in waiting)
            if waiting and (rows > GROUP_ROWS or size > GROUP_BYTES):
                _write(writer, waiting, schema)
                waiting = []
            waiting.append(table)
        if waiting:
            _write(writer, waiting, schema)


def _write(
    writer: pq.ParquetWriter, tables: Sequence[pa.Table], schema: pa.Schema
) -> None:
    table = pa.concat_tables(tables, promote_options="default")
    missing = [field for field in schema if field.name not in table.schema.names]
    for field in missing:
        table = table.append_column(field, pa.nulls(len(table), field.type))
    writer.write_table(table.select(schema.names), row_group_size=GROUP_ROWS)


def _groups(paths: Sequence[Path]) -> Iterator[pa.Table]:
    for path in paths:
        with path.open("rb") as stream, pq.ParquetFile(stream) as file:
            for group in range(file.metadata.num_row_groups):
                table = file.read_row_group(group, use_threads=False)
                yield table.replace_schema_metadata(None)


def _footers(paths: Sequence[Path]) -> dict[Path, pq.FileMetaData]:
    """The footers of the files that can be read; damaged ones stay as they are."""
    footers = {}
    for path in paths:
        try:
            with path.open("rb") as stream, pq.ParquetFile(stream) as file:
                footers[path] = file.metadata
        except (pa.ArrowException, OSError) as error:
            log.warning("the request log %s is damaged: %s", path, error)
    return footers
