"""Conditions on one column, of which slices are made: bins of numbers, and names."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.media import medium
from headrace.media.comparable import comparable
from headrace.media.forms import Columns, Flags, Payload
from headrace.records import DataDescription

GROUP = "group"
FEW_VALUES = 10
# Columns take about 1 ms for a second of sound, and 0.1 ms for a small image.
_MOST_ROWS, _MOST_BYTES, _LEAST_ROWS = 5_000, 2**28, 500
_COMMON = 0.5  # the share of rows of a value that quantiles cannot divide
_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
_MOST_NAMES = 50


@dataclass(frozen=True, slots=True)
class Condition:
    """What the rows of a slice have in one column.

    Attributes:
        column: the name.
        low, high: of numbers: above ``low`` and at most ``high``.
        value: the one value; None for a bin of numbers.
    """

    column: str
    low: float = -math.inf
    high: float = math.inf
    value: Any = None

    def holds(self, columns: Mapping[str, npt.NDArray[Any]]) -> Flags:
        """For which rows of these columns it holds, bool ``(n,)``."""
        values = columns[self.column]
        if self.value is not None:
            return np.asarray(values == self.value, bool)
        return np.asarray((values > self.low) & (values <= self.high), bool)

    def __str__(self) -> str:
        name = self.column
        if isinstance(self.value, bool):
            return name if self.value else f"not {name}"
        if self.value is not None:
            shown = self.value
            return f"{name} = {shown if isinstance(shown, str) else f'{shown:.4g}'}"
        if self.low == -math.inf:
            return f"{name} <= {self.high:.4g}"
        if self.high == math.inf:
            return f"{name} > {self.low:.4g}"
        return f"{self.low:.4g} < {name} <= {self.high:.4g}"


def most_rows(data: DataDescription) -> int:
    """How many rows of a split are looked at, so that their columns take seconds."""
    return rows_within(data, _MOST_BYTES, _LEAST_ROWS, _MOST_ROWS)


def rows_within(data: DataDescription, most_bytes: int, least: int, most: int) -> int:
    """How many items take at most so many bytes, from ``least`` to ``most``."""
    size = math.prod(data.shape) * medium(data.medium).DTYPE.itemsize
    return min(most, max(least, most_bytes // size))


def columns_of(items: Payload, groups: Sequence[str], data: DataDescription) -> Columns:
    """The columns that conditions can be on: the medium's own, and the group.

    Args:
        items: ``(n, *shape)``, as in a snapshot.
        groups: of each item, ``(n,)``; empty where it has none.
        data: of the snapshot.

    Returns:
        arrays ``(n,)`` of numbers, flags and texts, each of its item alone.
    """
    module = medium(data.medium)
    columns = module.columns(items, [""] * len(items), data)
    columns |= module.slice_columns(items)
    names = comparable(columns, data)
    names += [name for name, values in columns.items() if values.dtype.kind in "OUS"]
    return {**{n: columns[n] for n in names}, GROUP: np.array([*groups], object)}


def joined(parts: Sequence[Columns]) -> Columns:
    """The columns of all parts, one after the other."""
    return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}


def conditions_of(columns: Columns) -> list[Condition]:
    """All conditions that the values of some columns suggest.

    They are the values of flags, names and numbers with few values, and of other
    numbers quarters, halves, and the lowest and highest tenth.

    Args:
        columns: arrays ``(n,)`` by name: flags, numbers, or texts such as groups.
    """
    return [
        condition
        for name, values in columns.items()
        for condition in _conditions(name, values)
    ]


def _conditions(name: str, values: npt.NDArray[Any]) -> Iterator[Condition]:
    kind = values.dtype.kind
    if kind in "OUS":
        common = Counter(values.tolist()).most_common(_MOST_NAMES)
        yield from (Condition(name, value=value) for value, _ in common if value)
        return
    if kind == "f":
        values = values[np.isfinite(values)]
    different, counts = np.unique(values, return_counts=True)
    if len(different) < 2:
        return
    if len(different) <= FEW_VALUES:
        plain = different.tolist()
        yield from (Condition(name, value=value) for value in plain)
        if len(different) > 2:
            yield from (Condition(name, high=value) for value in plain[1:-1])
            yield from (Condition(name, low=value) for value in plain[1:-1])
        return
    most, below = int(np.argmax(counts)), -math.inf
    if counts[most] >= _COMMON * len(values):
        below = common = different[most].item()
        yield Condition(name, value=common)
        if most:
            yield Condition(name, high=different[most - 1].item())
        values = values[values > common]
        yield Condition(name, low=common)
        if len(np.unique(values)) < FEW_VALUES:
            return
    yield from _bins(name, values, below)


def _bins(name: str, values: npt.NDArray[Any], least: float) -> Iterator[Condition]:
    """Quarters, halves, lowest and highest tenth of the values above ``least``."""
    edges = np.quantile(values, _QUANTILES, method="inverted_cdf").tolist()
    tenth, low, middle, high, last = edges
    bins = [
        (least, tenth),
        (least, low),
        (least, middle),
        (low, middle),
        (middle, high),
        (middle, math.inf),
        (high, math.inf),
        (last, math.inf),
    ]
    top = values.max().item()
    for below, above in dict.fromkeys(bins):  # edges may be equal
        if below < above and below < top:
            yield Condition(name, below, above)
