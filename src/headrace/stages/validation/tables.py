"""The tables that are checked, one row an item, and how the items are measured.

A check names the columns that it reads, so only those are in memory. Equal items lie in
one shard, so that only one shard has to be in memory to find duplicates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import feather

from headrace.data.snapshots.reading import (
    Shard,
    payload_of,
    read_rejected,
    read_shard,
    shards_of,
)
from headrace.media import medium
from headrace.records import DataDescription, SnapshotRecord
from headrace.settings import Settings
from headrace.stages.pieces import Workers
from headrace.state.disk import disk_errors
from headrace.tasks import task
from headrace.tasks.forms import Counts

if TYPE_CHECKING:
    import pandas as pd

Rows = npt.NDArray[np.int64]
_SHARED = ("split", "label")
_OF_SNAPSHOT = ["name", "split", "label", "group", "item"]
_OF_DUPLICATES = ["finite", "copy", "copy_of", "labels", "in_test", "in_train"]


def describe(shard: Shard, snapshot: SnapshotRecord, folder: Path) -> Counts:
    """Write a table of the items of one shard, in its order, to a file in ``folder``.

    The file has ``name``, ``split``, ``label``, ``group``, ``item`` (sha256), the
    medium's columns, and those of `with_duplicates`.

    Returns:
        the number of its rows of each split and label.

    Raises:
        IntegrityError: the shard is damaged.
        DependencyError: the disk is full.
    """
    table, description = read_shard(snapshot, shard), snapshot.description
    payload, labels = payload_of(table, description), table["label"].to_pylist()
    module = medium(description.medium)
    columns = module.columns(payload, labels, description)
    if "fingerprint" not in columns:
        columns["fingerprint"] = module.fingerprints(payload, description)
    frame = table.select(_OF_SNAPSHOT).to_pandas()
    frame = with_duplicates(frame.assign(**columns))
    described = pa.Table.from_pandas(frame, preserve_index=False)
    described = described.replace_schema_metadata()
    with disk_errors(str(folder)):
        feather.write_feather(described, _place(shard, folder), compression="lz4")
    return counts_of(frame, description)


def _place(shard: Shard, folder: Path) -> Path:
    return folder / f"{Path(shard.name).stem}.arrow"


def counts_of(frame: pd.DataFrame, data: DataDescription) -> Counts:
    """The rows of each split and label; the label is empty without strata."""
    if not task(data.task).labels.STRATIFIED:
        frame = frame.assign(label="")
    sizes = frame.groupby(["split", "label"], dropna=False).size()
    return Counter(cast(dict[tuple[str, str], int], sizes.to_dict()))


def with_duplicates(frame: pd.DataFrame) -> pd.DataFrame:
    """Add columns on equal items.

    Blank items are equal without being copies, so they are copies of nothing.

    Args:
        frame: needs ``name``, ``split``, ``label``, ``item`` and ``blank``.

    Returns:
        the frame with ``finite`` (bool: no number of the row is NaN or infinite),
        ``copy`` (0 for the first of equal items with one label in train and val, or
        in test; then 1, 2, ...), ``copy_of`` (the first equal item's name, else
        empty), ``labels`` (how many labels the item has), ``in_test`` (1 for an item
        of train or val that is also in test) and ``in_train`` (1 for an item of test
        that is also in train or val).
    """
    import pandas as pd

    numbers = frame.select_dtypes("number").to_numpy(np.float64)
    order = np.arange(len(frame))
    alone = pd.Series(order, frame.index).astype("str")
    group = pd.factorize(frame["item"].where(~frame["blank"], alone))[0]
    first = pd.Series(order).groupby(group).transform("min").to_numpy()
    test = (frame["split"] == "test").to_numpy()
    groups = int(group.max(initial=-1)) + 1
    tested = np.bincount(group[test], minlength=groups) > 0
    trained = np.bincount(group[~test], minlength=groups) > 0
    names = frame["name"].to_numpy(object)
    by_label = frame.groupby([group, frame["label"], test], observed=True)
    return frame.assign(
        finite=np.isfinite(numbers).all(axis=1),
        copy=by_label.cumcount(),
        copy_of=pd.array(np.where(first == order, "", names[first]), dtype="str"),
        labels=frame["label"].groupby(group).transform("nunique"),
        in_test=(~test & tested[group]).astype(np.int64),
        in_train=(test & trained[group]).astype(np.int64),
    )


class ItemTable:
    """The decoded items, in the order of the snapshot: the table of the contract.

    Columns: ``row`` (int64, the index in the snapshot), those of `describe`, and
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
        self.bounds, self.counts = bounds, counts
        self.sizes: Counter[str] = Counter()
        for (split, _), count in counts.items():
            self.sizes[split] += count
        self._paths = paths
        self._added: dict[str, npt.NDArray[Any]] = {}
        self.data, self._contract = data, task(data.task).contract
        with pa.memory_map(str(paths[0])) as file:
            self._stored = list(pa.ipc.open_file(file).schema.names)
        self.columns = ["row", *self._stored, *self._contract.COLUMNS]

    def __len__(self) -> int:
        return int(self.bounds[-1])

    def add(self, columns: Mapping[str, npt.NDArray[Any]]) -> None:
        """Add columns of all rows, ``(rows,)`` each, which stay in memory."""
        self._added |= columns
        self.columns += [*columns]

    @property
    def measured(self) -> list[str]:
        """The names of the medium's columns."""
        others = {*_OF_SNAPSHOT, *_OF_DUPLICATES}
        return [name for name in self._stored if name not in others]

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

        frame = pd.DataFrame(index=pd.RangeIndex(self.bounds[start], self.bounds[stop]))
        of_task = set(columns) & set(self._contract.COLUMNS)
        wanted = {*columns, *(_SHARED if of_task else ())}
        if names := [name for name in self._stored if name in wanted]:
            paths = self._paths[start:stop]
            parts = [feather.read_table(p, names, memory_map=True) for p in paths]
            frame = pa.concat_tables(parts).to_pandas().set_axis(frame.index)
        for name in self._added.keys() & {*columns}:
            frame[name] = self._added[name][self.bounds[start] : self.bounds[stop]]
        if "row" in columns:
            frame["row"] = frame.index.to_numpy(np.int64)
        if of_task:
            split, label = (frame[name].to_numpy(object) for name in _SHARED)
            own = self._contract.columns(split, label, self.counts, self.data)
            frame = frame.assign(**own)
        return frame[list(columns)]


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
    work = partial(describe, snapshot=snapshot, folder=folder)
    with Workers(settings) as workers:
        counts = sum(workers.spread(work, shards), Counts())
    bounds = np.cumsum([0, *(shard.rows for shard in shards)], dtype=np.int64)
    paths = [_place(shard, folder) for shard in shards]
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
