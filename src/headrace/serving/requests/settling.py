"""Settling: streams of the request log become Parquet, perhaps without some rows."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.errors import IntegrityError
from headrace.home import make_private_file
from headrace.serving.requests.columns import COLUMNS
from headrace.serving.requests.contents import GROUP_ROWS, LogFile, is_there
from headrace.serving.requests.files import STREAM, hours, models, parquet_of
from headrace.state.disk import atomic_file, fsync_path

_GRACE = timedelta(seconds=30)  # in which rows of the last hour still come

Chooses = Callable[[pa.Table], npt.NDArray[np.bool_]]


def settle(path: Path, chooses: Chooses | None = None) -> int:
    """Make a Parquet file of a stream, or take rows out of a file of either kind.

    The former file is gone then; where no row is left, there is none.

    Args:
        path: of the file.
        chooses: which rows of a table to leave out, by their ``item``. A file without
            such rows stays as it is. None: of a stream, leave out none.

    Returns:
        the number of rows that were left out.

    Raises:
        FileNotFoundError: it is gone, perhaps settled by another process.
        BlockingIOError: another process works on it; if rows are chosen, this one
            waits instead.
        IntegrityError: it is damaged, and stays.
        OSError: the disk is full, and it stays.
    """
    target, rows = parquet_of(path), 0
    with LogFile(path) as file:
        fcntl.flock(file.stream, fcntl.LOCK_EX | (0 if chooses else fcntl.LOCK_NB))
        if not is_there(file.stream):
            raise FileNotFoundError(path)
        is_settled = path != target and target.exists()  # by a process that was killed
        if chooses is not None and not is_settled:
            rows = sum(int(chooses(table).sum()) for table in file.tables(["item"]))
            if not rows:
                return 0
        has_rows = is_settled or _write(file, target, chooses)
        if path != target or not has_rows:
            fsync_path(path.parent)
            path.unlink()
    return rows


def _write(file: LogFile, target: Path, chooses: Chooses | None) -> bool:
    """Write the rows of a file; whether there are any. Its lock is held."""
    for left in target.parent.glob(f".{target.name}.*"):  # by a process that was killed
        left.unlink()
    names = [name for name, column in COLUMNS.items() if column.repeats]
    writer: pq.ParquetWriter | None = None
    with contextlib.ExitStack() as stack:
        for table in file.tables():
            rows = table if chooses is None else table.filter(pa.array(~chooses(table)))
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
    return writer is not None


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
