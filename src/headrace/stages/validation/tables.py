"""The tables that checks are put to, one row an item.

A check names the columns it looks at, so no more than those are in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from headrace.data.snapshots import read_rejected, shards_of
from headrace.records import DataDescription, SnapshotRecord
from headrace.settings import Settings
from headrace.stages.validation.items import Work, describe
from headrace.stages.workers import spread
from headrace.tasks import task
from headrace.tasks.forms import Counts

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Rows = npt.NDArray[np.int64]
_SHARED = ("split", "label")


class Table(Protocol):
    """Rows with a number each, and columns that are read when they are asked for."""

    @property
    def columns(self) -> Sequence[str]:
        """All there are; ``row`` and ``name`` are among them."""

    def read(self, columns: Sequence[str]) -> pd.DataFrame:
        """Those columns of all rows; the index is ``row``."""

    def pick(self, rows: Rows, columns: Sequence[str]) -> pd.DataFrame:
        """Those columns of some rows, which are given in the order of the table."""


class FrameTable:
    """A table in memory.

    Args:
        frame: needs ``row`` and ``name``.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame.set_index("row", drop=False).rename_axis(None)
        self.columns = list(frame.columns)

    def read(self, columns: Sequence[str]) -> pd.DataFrame:
        """Those columns of all rows."""
        return self._frame[list(columns)]

    def pick(self, rows: Rows, columns: Sequence[str]) -> pd.DataFrame:
        """Those columns of some rows."""
        return self._frame.loc[rows, list(columns)]


class ItemTable:
    """The decoded items, in the snapshot's order: the table the contract speaks of.

    Columns: ``row`` (int64, the place in the snapshot), those of `items.describe`,
    and those of the task.

    Args:
        paths: of the descriptions of the shards.
        bounds: first row of each shard, and the number of all, ``(shards + 1,)``.
        counts: rows of each split and label.
        data: what the items are.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        bounds: Rows,
        counts: Counts,
        data: DataDescription,
    ) -> None:
        self.bounds = bounds
        self.counts = counts
        self.sizes: Counter[str] = Counter()
        for (split, _), count in counts.items():
            self.sizes[split] += count
        self._paths = paths
        self.data, self._contract = data, task(data.task).contract
        self._stored = _stored(paths[0])
        self.columns = ["row", *self._stored, *self._contract.COLUMNS]

    def __len__(self) -> int:
        return int(self.bounds[-1])

    def read(self, columns: Sequence[str]) -> pd.DataFrame:
        """Those columns of all rows."""
        return self._frame(0, len(self._paths), columns)

    def shard(self, place: int, columns: Sequence[str]) -> pd.DataFrame:
        """Those columns of the rows of one shard; the index is ``row``."""
        return self._frame(place, place + 1, columns)

    def pick(self, rows: Rows, columns: Sequence[str]) -> pd.DataFrame:
        """Those columns of some rows."""
        import pandas as pd

        parts = np.split(rows, np.searchsorted(rows, self.bounds[1:-1]))
        return pd.concat(
            [self.shard(0, columns).head(0)]
            + [
                self.shard(place, columns).loc[part]
                for place, part in enumerate(parts)
                if len(part)
            ]
        )

    def _frame(self, start: int, stop: int, columns: Sequence[str]) -> pd.DataFrame:
        import pandas as pd
        import pyarrow as pa

        frame = pd.DataFrame(index=pd.RangeIndex(self.bounds[start], self.bounds[stop]))
        of_task = set(columns) & set(self._contract.COLUMNS)
        wanted = {*columns, *(_SHARED if of_task else ())}
        fields = [i for i, name in enumerate(self._stored) if name in wanted]
        if fields:
            parts = [_load(path, fields) for path in self._paths[start:stop]]
            frame = pa.concat_tables(parts).to_pandas().set_axis(frame.index)
        if "row" in columns:
            frame["row"] = frame.index.to_numpy(np.int64)
        if of_task:
            split, label = (frame[name].to_numpy(object) for name in _SHARED)
            frame = frame.assign(
                **self._contract.columns(split, label, self.counts, self.data)
            )
        return frame[list(columns)]


def _stored(path: Path) -> list[str]:
    import pyarrow as pa

    with pa.memory_map(str(path)) as file:
        return list(pa.ipc.open_file(file).schema.names)


def _load(path: Path, fields: list[int]) -> pa.Table:
    import pyarrow as pa

    options = pa.ipc.IpcReadOptions(included_fields=fields)
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file, options=options).read_all()


def item_table(snapshot: SnapshotRecord, folder: Path, settings: Settings) -> ItemTable:
    """Describe the shards of a snapshot, several at once.

    Args:
        snapshot: what was ingested.
        folder: where the descriptions are kept as long as the table is used.
        settings: where the work is done.

    Raises:
        IntegrityError: the snapshot is damaged.
        DependencyError: the disk is full.
    """
    shards = shards_of(snapshot)
    works = [Work(snapshot, shard, folder) for shard in shards]
    counts = sum(spread(describe, works, settings), Counts())
    bounds = np.cumsum([0, *(shard.rows for shard in shards)], dtype=np.int64)
    paths = [work.path for work in works]
    return ItemTable(paths, bounds, counts, snapshot.description)


def rejected_items(snapshot: SnapshotRecord) -> pd.DataFrame:
    """The items that could not be decoded.

    Returns:
        ``row`` (int64: -1, -2, ...), ``name``, ``split``, ``label``, ``check`` and
        ``reason``.
    """
    rejected: pd.DataFrame = read_rejected(snapshot).drop_columns(["item"]).to_pandas()
    rejected.insert(0, "row", -1 - np.arange(len(rejected)))
    return rejected


def delivered_table(items: ItemTable, rejected: pd.DataFrame) -> FrameTable:
    """All items, also those that could not be decoded.

    Args:
        items: the readable ones.
        rejected: the others.

    Returns:
        ``row``, ``name`` (of the rejected only) and ``readable`` (bool).
    """
    import pandas as pd

    count = len(items)
    row = np.concatenate([np.arange(count), rejected["row"].to_numpy(np.int64)])
    name = pd.array(["", *rejected["name"]], dtype="str")
    place = np.concatenate(
        [np.zeros(count, np.int64), 1 + np.arange(len(rejected), dtype=np.int64)]
    )
    return FrameTable(
        pd.DataFrame({"row": row, "name": name.take(place), "readable": row >= 0})
    )
