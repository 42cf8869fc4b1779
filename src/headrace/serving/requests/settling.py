"""Settling: streams of the request log become Parquet."""

from __future__ import annotations

import contextlib
import fcntl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq

from headrace.errors import IntegrityError
from headrace.home import make_private_file
from headrace.serving.requests.columns import COLUMNS
from headrace.serving.requests.contents import GROUP_ROWS, LogFile, is_there
from headrace.serving.requests.files import STREAM, hours, models, parquet_of
from headrace.state.disk import atomic_file, fsync_path

_GRACE = timedelta(seconds=30)  # in which rows of the last hour still come


def settle(path: Path) -> None:
    """Make a Parquet file of a stream, which is gone then.

    Raises:
        FileNotFoundError: it is gone, perhaps settled by another process.
        BlockingIOError: another process works on it.
        IntegrityError: it is damaged, and stays.
        OSError: the disk is full, and it stays.
    """
    target = parquet_of(path)
    with LogFile(path) as file:
        fcntl.flock(file.stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not is_there(file.stream):
            raise FileNotFoundError(path)
        if not target.exists():  # else by a process that was killed
            _write(file, target)
        fsync_path(path.parent)
        path.unlink()


def _write(file: LogFile, target: Path) -> None:
    """Write the rows of a stream, if it has any. Its lock is held."""
    for left in target.parent.glob(f".{target.name}.*"):  # by a process that was killed
        left.unlink()
    names = [name for name, column in COLUMNS.items() if column.repeats]
    writer: pq.ParquetWriter | None = None
    with contextlib.ExitStack() as stack:
        for rows in file.tables():
            if not len(rows):
                continue
            if writer is None:
                temporary = stack.enter_context(atomic_file(target))
                make_private_file(temporary)
                # Outputs and statistics do not compress as dictionaries.
                writer = stack.enter_context(
                    pq.ParquetWriter(
                        temporary,
                        rows.schema,
                        compression="zstd",
                        use_dictionary=names,
                    )
                )
            writer.write_table(rows, row_group_size=GROUP_ROWS)


def settle_all(root: Path, now: datetime | None = None) -> dict[Path, IntegrityError]:
    """Settle the streams of all hours that are over.

    Idempotent, and safe beside other processes.

    Args:
        root: see `files.root_of`.
        now: UTC; None: by the clock.

    Returns:
        the streams that are damaged, which stay.

    Raises:
        OSError: a file cannot be written, as where the disk is full; its stream stays.
    """
    now, damaged = now or datetime.now(UTC), dict[Path, IntegrityError]()
    for model in models(root):
        for hour in hours(root, model):
            if now < hour.end + _GRACE:
                continue
            for path in (p for p in hour.files() if p.suffix == STREAM):
                try:
                    settle(path)
                except IntegrityError as error:
                    damaged[path] = error
                except (BlockingIOError, FileNotFoundError):
                    continue  # another process does the same
    return damaged
