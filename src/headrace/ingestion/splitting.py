"""The split of each item: from its content alone where the source has none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.arrow import as_bytes
from headrace.errors import SourceError
from headrace.ingestion.runs import Run

VAL_ROWS = 1000
VAL_PERCENT = 5
_Shas = npt.NDArray[np.uint8]


def split_of(item: str, test_fraction: float) -> Literal["train", "test"]:
    """The split of an item, from its content alone: it never changes.

    Args:
        item: sha256 of the decoded item, hex.
        test_fraction: the share of items that go to test.
    """
    return "test" if int(item[:8], 16) / 2**32 < test_fraction else "train"


def _are_test(items: _Shas, test_fraction: float) -> npt.NDArray[np.bool_]:
    """`split_of` of many items: sha256 ``(n, 32)``."""
    heads = items[:, :4].copy().view(">u4").ravel()
    chosen: npt.NDArray[np.bool_] = heads / 2**32 < test_fraction
    return chosen


def _tails(items: _Shas) -> npt.NDArray[np.uint64]:
    return items[:, -8:].copy().view(">u8").ravel().astype(np.uint64)


class Place(NamedTuple):
    """The place of a row of train in the order in which rows go to val."""

    tail: int
    item: bytes
    label: str


@dataclass(frozen=True, slots=True)
class Splits:
    """How a data set is split.

    Attributes:
        test_fraction: where items are split by content; None: as in the source.
        train, test: number of rows, those of val still in train.
        last: the last place of train that goes to val; None where none does.
        equals: how many of the rows at that place go.
    """

    test_fraction: float | None
    train: int
    test: int
    last: Place | None
    equals: int

    def of(self, split: str, items: _Shas) -> npt.NDArray[np.str_]:
        """The splits of items ``(n, 32)`` of a run, val aside, ``(n,)``."""
        if self.test_fraction is None:
            return np.full(len(items), split, "U5")
        return np.where(_are_test(items, self.test_fraction), "test", "train")

    def carve_val(
        self,
        splits: npt.NDArray[np.str_],
        items: _Shas,
        label: pa.ChunkedArray,
        name: pa.ChunkedArray,
    ) -> None:
        """Turn train into val, in place, for those of all equal items ``(n,)``."""
        if self.last is None:
            return
        tails = _tails(items)
        near = np.flatnonzero((splits == "train") & (tails <= self.last.tail))
        rows = sorted(
            (
                Place(int(tails[row]), items[row].tobytes(), label[row].as_py()),
                name[row].as_py(),
                row,
            )
            for row in near.tolist()
        )
        chosen = [row for place, _, row in rows if place < self.last]
        equal = [row for place, _, row in rows if place == self.last]
        splits[[*chosen, *equal[: self.equals]]] = "val"


def find_splits(
    runs: Sequence[Run], rejected: Iterable[str], test_fraction: float, where: str
) -> Splits:
    """How to split: by content where the source has fewer than two splits.

    Some rows of train go to val: those whose hash ends lowest. Equal items stay
    together, and their label makes the order the same in any source.

    Args:
        runs: sorted ones.
        rejected: the splits of items that are not in the runs.
        test_fraction: the share of items that go to test.
        where: the source.

    Raises:
        SourceError: the source names the split of some items and not of others.
    """
    named = {run.split for run in runs} | set(rejected)
    if "" in named and len(named) > 1:
        raise SourceError(
            f"{where} names the split of some items and not of others.",
            "Name it for all of them, or for none.",
        )
    plain = Splits(test_fraction if len(named) < 2 else None, 0, 0, None, 0)
    rows = train = 0
    lowest: list[Place] = []
    for run in runs:
        table = run.read()
        items = as_bytes(table["item"].chunk(0))
        mine = np.flatnonzero(plain.of(run.split, items) == "train")
        lowest = _lowest(lowest, items, mine, table["label"])
        rows += run.rows
        train += len(mine)
    count = min(VAL_ROWS, train * VAL_PERCENT // 100)
    last = lowest[count - 1] if count else None
    return Splits(
        plain.test_fraction,
        train,
        rows - train,
        last,
        lowest[:count].count(last) if last else 0,
    )


def _lowest(
    before: list[Place],
    items: _Shas,
    rows: npt.NDArray[np.int64],
    label: pa.ChunkedArray,
) -> list[Place]:
    """The first `VAL_ROWS` places of those before and of some rows of a run."""
    tails = _tails(items)
    if len(before) == VAL_ROWS:
        rows = rows[tails[rows] <= before[-1].tail]
    if len(rows) > VAL_ROWS:
        last = np.partition(tails[rows], VAL_ROWS - 1)[VAL_ROWS - 1]
        rows = rows[tails[rows] <= last]
    places = [
        Place(int(tails[row]), items[row].tobytes(), label[row].as_py())
        for row in rows.tolist()
    ]
    return sorted([*before, *places])[:VAL_ROWS]
