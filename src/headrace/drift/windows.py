"""Windows: items that a version was asked, and what it answered."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.errors import InputError
from headrace.media import medium
from headrace.media.forms import Columns, Payload
from headrace.records import DataDescription
from headrace.tasks.forms import Outputs


@dataclass(frozen=True, slots=True)
class Window:
    """Different items that were asked in some time, one row each.

    A test takes repeated items for independent ones.

    Attributes:
        columns: numbers or flags of the items by name, ``(n,)`` each, as
            `item_columns` gives them; empty where inputs are not judged.
        outputs: of the version, ``(n, ...)``.
    """

    columns: Columns
    outputs: Outputs

    def __post_init__(self) -> None:
        lengths = {name: len(values) for name, values in self.columns.items()}
        for name, length in lengths.items():
            if length != len(self.outputs):
                raise InputError(
                    f"The window has {len(self.outputs):,} outputs and {length:,} "
                    f"values of {name}.",
                    "Give one value of each for each row.",
                )

    def __len__(self) -> int:
        return len(self.outputs)


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
    left_out = {"fingerprint", *medium(data.medium).RELATIVE_COLUMNS}
    return [
        name
        for name, values in columns.items()
        if values.dtype.kind in "biuf" and name not in left_out
    ]
