"""Measures the items of one shard: each alone, and as duplicates of others.

Equal items lie in one shard, so that only one shard has to be in memory.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from headrace.data.snapshots.reading import Shard, payload_of, read_shard
from headrace.media import medium
from headrace.records import DataDescription, SnapshotRecord
from headrace.state.store import disk_errors
from headrace.tasks import task
from headrace.tasks.forms import Counts

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Work:
    """One shard to describe; the description is written to ``folder``."""

    snapshot: SnapshotRecord
    shard: Shard
    folder: Path

    @property
    def path(self) -> Path:
        """The Arrow file of the description."""
        return self.folder / f"{Path(self.shard.name).stem}.arrow"


def describe(work: Work) -> Counts:
    """Write a table of the items of one shard, in its order.

    The file has ``name``, ``split``, ``label``, ``group``, ``item`` (sha256), the
    medium's columns, and those of `with_duplicates`.

    Returns:
        the number of its rows of each split and label.

    Raises:
        IntegrityError: the shard is damaged.
        DependencyError: the disk is full.
    """
    import pyarrow as pa
    from pyarrow import feather

    table = read_shard(work.snapshot, work.shard)
    description = work.snapshot.description
    payload, labels = payload_of(table, description), table["label"].to_pylist()
    columns = medium(description.medium).columns(payload, labels, description)
    frame = table.select(["name", "split", "label", "group", "item"]).to_pandas()
    frame = with_duplicates(frame.assign(**columns))
    described = pa.Table.from_pandas(frame, preserve_index=False)
    described = described.replace_schema_metadata()
    with disk_errors(str(work.folder)):
        feather.write_feather(described, work.path, compression="lz4")
    return counts_of(frame, description)


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
    copy_of = np.where(first == order, "", names[first])
    return frame.assign(
        finite=np.isfinite(numbers).all(axis=1),
        copy=by_label.cumcount(),
        copy_of=pd.array(copy_of, dtype="str"),
        labels=frame["label"].groupby(group).transform("nunique"),
        in_test=(~test & tested[group]).astype(np.int64),
        in_train=(test & trained[group]).astype(np.int64),
    )
