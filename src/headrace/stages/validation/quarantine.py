"""The quarantine: rows that fail a check and the reasons, written shard by shard."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from headrace.display.signs import number_of
from headrace.records import DataDescription
from headrace.stages.validation.checks import Check, CheckResult
from headrace.stages.validation.tables import ItemTable, Rows, counts_of
from headrace.tasks.forms import Counts

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("row", "name", "split", "label", "check", "reason")
EXAMPLES = 3
_BLOCK = 65_536
_COPY = re.compile(r" \(copy of .*\)")


def some(names: Sequence[str], count: int) -> str:
    """The first of so many names."""
    more = count - EXAMPLES
    return ", ".join(names[:EXAMPLES]) + (f" and {more:,} more" if more > 0 else "")


@dataclass(slots=True)
class Kind:
    """The rows that one check quarantined.

    Attributes:
        reason: of the first row.
        varies: whether other reasons differ in more than the name of a copied item.
        count: the number of rows.
        names: of the first few rows.
        splits: of the rows.
    """

    reason: str
    varies: bool = False
    count: int = 0
    names: list[str] = field(default_factory=list)
    splits: set[str] = field(default_factory=set)

    def add(self, rows: pd.DataFrame) -> None:
        """Count the quarantined rows of a further part."""
        bare = rows["reason"].str.replace(_COPY, "", regex=True)
        self.varies |= bool((bare != _COPY.sub("", self.reason)).any())
        self.count += len(rows)
        self.names += rows["name"].head(EXAMPLES - len(self.names)).tolist()
        self.splits |= set(rows["split"].unique())

    def in_words(self) -> str:
        """The number of rows, the first of them, and the reason of the first."""
        instance = "for instance " if self.varies else ""
        names = some(self.names, self.count)
        return f"{number_of(self.count, 'rows')}: {names}: {instance}{self.reason}"


@dataclass(slots=True)
class Quarantine:
    """The quarantined rows, counted.

    Attributes:
        uri: a Parquet file of ``COLUMNS``; empty where no row is quarantined.
        count: number of rows.
        kinds: of each check, in the order of their first rows.
        counts: decoded rows of each split and label.
    """

    uri: str = ""
    count: int = 0
    kinds: dict[str, Kind] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)

    @property
    def checks(self) -> dict[str, int]:
        """The number of rows that each check blames."""
        return {check: kind.count for check, kind in self.kinds.items()}

    def add(self, blamed: pd.DataFrame, data: DataDescription) -> None:
        """Count more rows of a data set."""
        self.count += len(blamed)
        for check, rows in blamed.groupby("check", sort=False):
            first = Kind(rows["reason"].iloc[0])
            self.kinds.setdefault(str(check), first).add(rows)
        self.counts += counts_of(blamed[blamed["row"] >= 0], data)


def set_aside(
    items: ItemTable,
    rejected: pd.DataFrame,
    outcomes: Sequence[CheckResult],
    path: Path,
) -> Quarantine:
    """Write the rows that fail a check of single rows.

    Args:
        items: the decoded ones.
        rejected: the others, from `tables.rejected_items`.
        outcomes: of the checks of ``items``, the first reason first.
        path: of the file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    quarantine = Quarantine()
    kinds = [pa.int64()] + [pa.string()] * (len(COLUMNS) - 1)
    schema = pa.schema(list(zip(COLUMNS, kinds, strict=True)))
    with pq.ParquetWriter(path, schema) as file:
        for blamed in blamed_rows(items, rejected, outcomes):
            quarantine.add(blamed, items.data)
            file.write(pa.Table.from_pandas(blamed, schema, preserve_index=False))
    return quarantine


def blamed_rows(
    items: ItemTable, rejected: pd.DataFrame, outcomes: Sequence[CheckResult]
) -> Iterator[pd.DataFrame]:
    """The rows that fail a check of single rows, block by block.

    Returns:
        ``COLUMNS``, in ascending order of the rows: each with the name of the first
        check that it fails, and the reasons of all of them; of a blank one, only that
        and those of the contract, since it fails the others by being blank.
    """
    for stop in range(len(rejected), 0, -_BLOCK):
        yield rejected.iloc[max(0, stop - _BLOCK) : stop][::-1][[*COLUMNS]]
    failed = [o for o in outcomes if not o.passed and not o.check.warns and len(o.rows)]
    # Where leaks refuse the data set, single copies are not quarantined.
    leaks = [o for o in outcomes if o.check.name == "leak" and not o.passed]
    if not all(len(o.rows) for o in leaks):
        failed = [o for o in failed if o.check.name != "leak"]
    shown = {column for outcome in failed for column in outcome.check.shows}
    columns = list(dict.fromkeys([*COLUMNS[:4], *sorted(shown)]))
    ends = [np.searchsorted(o.rows, items.bounds) for o in failed]
    for place in range(len(items.bounds) - 1):
        parts = [
            (outcome.check, outcome.rows[end[place] : end[place + 1]])
            for outcome, end in zip(failed, ends, strict=True)
            if end[place] < end[place + 1]
        ]
        if parts:
            yield _blame(items.shard(place, columns), parts)


def _blame(frame: pd.DataFrame, parts: Sequence[tuple[Check, Rows]]) -> pd.DataFrame:
    blamed: dict[int, tuple[str, list[str]]] = {}
    for check, rows in parts:
        reasons = _reasons(check, frame.loc[rows])
        for row, reason in zip(rows.tolist(), reasons, strict=True):
            first, told = blamed.setdefault(row, (check.name, []))
            if first != "blank" or not told or check.where:
                told.append(reason)
    order = sorted(blamed)
    return frame.loc[order, [*COLUMNS[:4]]].assign(
        check=[blamed[row][0] for row in order],
        reason=["; ".join(blamed[row][1]) for row in order],
    )


def _reasons(check: Check, rows: pd.DataFrame) -> list[str]:
    """Why each row fails, with the values that the check shows."""
    reasons = [check.reason] * len(rows)
    for column in check.shows:
        values = (f"{v:.7g}" if isinstance(v, float) else str(v) for v in rows[column])
        shown = (f" ({column.replace('_', ' ')} {v})" if v else "" for v in values)
        reasons = [reason + value for reason, value in zip(reasons, shown, strict=True)]
    return reasons
