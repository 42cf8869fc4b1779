"""The tables that are checked, one row an item.

A check names the columns that it reads, so only those are in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from headrace.data.snapshots.reading import read_rejected, shards_of
from headrace.records import DataDescription, SnapshotRecord
from headrace.settings import Settings
from headrace.stages.validation.items import Work, describe
from headrace.stages.workers import spread
from headrace.tasks import task
from headrace.tasks.forms import Counts

if TYPE_CHECKING:
    import pandas as pd

Rows = npt.NDArray[np.int64]
_SHARED = ("split", "label")


class FrameTable:
    """A table in memory.

    Args:
        frame: needs ``row`` and ``name``.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame.set_index("row", drop=False).rename_axis(None)
        self.columns = list(frame.columns)

    def read(self, columns: Sequence[str]) -> pd.DataFrame:
        """Some columns of all rows; the index is ``row``."""
        return self._frame[list(columns)]

    def pick(self, rows: Rows, columns: Sequence[str]) -> pd.DataFrame:
        """Some columns of some rows, which are in the order of the table."""
        return self._frame.loc[rows, list(columns)]


class ItemTable:
    """The decoded items, in the order of the snapshot: the table of the contract.

    Columns: ``row`` (int64, the index in the snapshot), those of `items.describe`, and
    those of the task. Columns are read when they are asked for.

    Args:
        paths: of the descriptions of the shards.
        bounds: first row of each shard, and the number of all rows, ``(shards + 1,)``.
        counts: rows of each split and label.
        data: of the snapshot.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        bounds: Rows,
        counts: Counts,
        data: DataDescription,
    ) -> None:
        import pyarrow as pa

        self.bounds, self.counts = bounds, counts
        self.sizes: Counter[str] = Counter()
        for (split, _), count in counts.items():
            self.sizes[split] += count
        self._paths = paths
        self.data, self._contract = data, task(data.task).contract
        with pa.memory_map(str(paths[0])) as file:
            self._stored = list(pa.ipc.open_file(file).schema.names)
        self.columns = ["row", *self._stored, *self._contract.COLUMNS]

    def __len__(self) -> int:
        return int(self.bounds[-1])

    def read(self, columns: Sequence[str]) -> pd.DataFrame:
        """Some columns of all rows; the index is ``row``."""
        return self._frame(0, len(self._paths), columns)

    def shard(self, place: int, columns: Sequence[str]) -> pd.DataFrame:
        """Some columns of the rows of one shard; the index is ``row``."""
        return self._frame(place, place + 1, columns)

    def pick(self, rows: Rows, columns: Sequence[str]) -> pd.DataFrame:
        """Some columns of some rows, which are in the order of the table."""
        import pandas as pd

        parts = [self.shard(0, columns).head(0)]
        of_shards = np.split(rows, np.searchsorted(rows, self.bounds[1:-1]))
        for place, part in enumerate(of_shards):
            if len(part):
                parts.append(self.shard(place, columns).loc[part])
        return pd.concat(parts)

    def _frame(self, start: int, stop: int, columns: Sequence[str]) -> pd.DataFrame:
        import pandas as pd
        import pyarrow as pa
        from pyarrow import feather

        frame = pd.DataFrame(index=pd.RangeIndex(self.bounds[start], self.bounds[stop]))
        of_task = set(columns) & set(self._contract.COLUMNS)
        wanted = {*columns, *(_SHARED if of_task else ())}
        names = [name for name in self._stored if name in wanted]
        if names:
            paths = self._paths[start:stop]
            parts = [feather.read_table(p, names, memory_map=True) for p in paths]
            frame = pa.concat_tables(parts).to_pandas().set_axis(frame.index)
        if "row" in columns:
            frame["row"] = frame.index.to_numpy(np.int64)
        if of_task:
            split, label = (frame[name].to_numpy(object) for name in _SHARED)
            own = self._contract.columns(split, label, self.counts, self.data)
            frame = frame.assign(**own)
        return frame[list(columns)]


Table: TypeAlias = FrameTable | ItemTable


def item_table(snapshot: SnapshotRecord, folder: Path, settings: Settings) -> ItemTable:
    """Describe the shards of a snapshot, several at once.

    Args:
        snapshot: the ingested data.
        folder: for the descriptions, as long as the table is used.
        settings: say how many processes work.

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
    """All items, decoded or rejected.

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
