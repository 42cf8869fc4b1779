"""The item table: one row an item, with what can be told of it alone and in company.

Knows snapshots and media. Judges nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from headrace.records import SnapshotRecord
from headrace.snapshots import payload_of, read_rejected, read_table

if TYPE_CHECKING:
    import pandas as pd


class Medium(Protocol):
    """What validation asks of a module in ``headrace.media``."""

    SCALE_COLUMNS: tuple[str, ...]

    def columns(self, payload: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[Any]]:
        """Columns ``(n,)`` of the items; ``blank`` (bool) is one of them."""

    def expectations(self, shape: tuple[int, ...]) -> list[tuple[str, dict[str, Any]]]:
        """Great Expectations names with their arguments."""


def medium_of(snapshot: SnapshotRecord) -> Medium:
    """The module of the snapshot's medium."""
    module = importlib.import_module(f"headrace.media.{snapshot.description.medium}")
    return cast(Medium, module)


def readable_items(snapshot: SnapshotRecord, classes: tuple[str, ...]) -> pd.DataFrame:
    """The decoded items, in the snapshot's order: the table the contract speaks of.

    Returns:
        ``row`` (int64), ``name``, ``split``, ``label``, ``item`` (sha256), the medium's
        columns, and the columns of `with_company`.
    """
    table = read_table(snapshot)
    frame = table.select(["name", "split", "label", "item"]).to_pandas()
    frame.insert(0, "row", np.arange(len(frame)))
    payload = payload_of(table, snapshot.description)
    frame = frame.assign(**medium_of(snapshot).columns(payload))
    return with_company(frame, classes)


def with_company(frame: pd.DataFrame, classes: tuple[str, ...]) -> pd.DataFrame:
    """Add what an item is among the others.

    Blank items are alike without being copies, so they count as copies of nothing.

    Args:
        frame: needs ``row``, ``name``, ``split``, ``label``, ``item`` and ``blank``.
        classes: the known labels.

    Returns:
        the frame with ``finite`` (bool: no number of the row is NaN or infinite),
        ``copy`` (0 for the first of equal items with one label in train and val, or
        in test; then 1, 2, ...), ``copy_of`` (the first equal item's name, else
        empty), ``labels`` (how many labels the item has), ``in_test`` (1 for an item
        of train or val that is also in test), ``in_train`` (1 for an item of test
        that is also in train or val) and ``class_share`` (the size of its class in
        its split, where 1 is the mean of the classes).
    """
    import pandas as pd

    numbers = frame.select_dtypes("number").to_numpy(np.float64)
    identity = frame["item"].where(~frame["blank"], frame["row"].astype(str))
    group = pd.factorize(identity)[0]
    first = pd.Series(np.arange(len(frame))).groupby(group).transform("min").to_numpy()
    test = (frame["split"] == "test").to_numpy()
    groups = int(group.max(initial=-1)) + 1
    tested = np.bincount(group[test], minlength=groups) > 0
    trained = np.bincount(group[~test], minlength=groups) > 0
    names = frame["name"].to_numpy(object)
    by_label = frame.groupby([group, frame["label"], test], observed=True)
    known = frame["label"].isin(classes)
    share = frame.groupby(["split", "label"])["row"].transform("size") * len(classes)
    share = share / frame.groupby("split")["row"].transform("size")
    return frame.assign(
        finite=np.isfinite(numbers).all(axis=1),
        copy=by_label.cumcount(),
        copy_of=np.where(first == np.arange(len(frame)), "", names[first]),
        labels=frame["label"].groupby(group).transform("nunique"),
        in_test=(~test & tested[group]).astype(np.int64),
        in_train=(test & trained[group]).astype(np.int64),
        class_share=share.where(known, 1.0),
    )


def delivered_items(items: pd.DataFrame, snapshot: SnapshotRecord) -> pd.DataFrame:
    """All items, also those that could not be decoded.

    Args:
        items: the readable ones.
        snapshot: where the others are.

    Returns:
        ``row`` (int64: the index in the snapshot, or -1, -2, ... for a rejected
        item), ``name``, ``split``, ``label``, ``readable`` (bool), and for those that
        are not, ``check`` and ``reason``.
    """
    import pandas as pd

    readable = items[["row", "name", "split", "label"]].assign(check="", reason="")
    rejected = read_rejected(snapshot).drop_columns(["item"]).to_pandas()
    rejected.insert(0, "row", -1 - np.arange(len(rejected)))
    everything: pd.DataFrame = pd.concat([readable, rejected], ignore_index=True)
    return everything.assign(readable=everything["row"] >= 0)
