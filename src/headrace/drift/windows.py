"""Windows: items that a version was asked, and what it answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.errors import InputError
from headrace.media import medium
from headrace.media.forms import Columns, Payload
from headrace.records import DataDescription
from headrace.tasks.forms import Outputs

_Digests = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Window:
    """Items that were asked in some time, one row each.

    Attributes:
        columns: numbers or flags of the items by name, ``(n,)`` each, as
            `item_columns` gives them; empty where inputs are not judged.
        outputs: of the version, ``(n, ...)``.
        items: sha256 of each decoded item as in snapshots, hex, ``(n,)``; None where
            they are not known.
        repeats: rows left out because an earlier row has the same item.
    """

    columns: Columns
    outputs: Outputs
    items: _Digests | None = None
    repeats: int = 0

    def __post_init__(self) -> None:
        lengths = {name: len(values) for name, values in self.columns.items()}
        if self.items is not None:
            lengths["items"] = len(self.items)
        for name, length in lengths.items():
            if length != len(self.outputs):
                raise InputError(
                    f"The window has {len(self.outputs):,} outputs and {length:,} "
                    f"values of {name}.",
                    "Give one value of each for each row.",
                )

    def __len__(self) -> int:
        return len(self.outputs)

    def select(self, rows: npt.NDArray[Any]) -> Window:
        """The rows of an index or a mask."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        items = None if self.items is None else self.items[rows]
        return Window(columns, self.outputs[rows], items, self.repeats)

    def deduplicated(self) -> Window:
        """The first row of each item: a test takes repeated items for independent ones.

        A window without digests is returned as it is.
        """
        if self.items is None:
            return self
        first = np.sort(np.unique(self.items.astype(str), return_index=True)[1])
        window = self.select(first)
        repeats = self.repeats + len(self) - len(first)
        return Window(window.columns, window.outputs, window.items, repeats)


def item_columns(items: Payload, data: DataDescription) -> Columns:
    """The medium's columns that can be compared between sets of items.

    They are numbers and flags, and depend on their item alone. Columns that depend on
    the other items of a set (`Medium.RELATIVE_COLUMNS`), on its label, or that are
    codes or words are left out.

    Args:
        items: ``(n, *shape)``, as in a snapshot.
        data: of the version.

    Returns:
        arrays ``(n,)`` of numbers or bool.
    """
    module = medium(data.medium)
    columns = module.columns(items, [""] * len(items), data)
    return {name: columns[name] for name in comparable(columns, data)}


def comparable(columns: Columns, data: DataDescription) -> list[str]:
    """The names of those columns of a medium, of all that it computes."""
    relative = getattr(medium(data.medium), "RELATIVE_COLUMNS", ())
    left_out = {"fingerprint", *relative}
    return [
        name
        for name, values in columns.items()
        if values.dtype.kind in "biuf" and name not in left_out
    ]
