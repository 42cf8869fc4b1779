"""Windows: items that a version was asked, and what it answered."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.errors import InputError
from headrace.media.forms import Columns
from headrace.tasks.forms import Outputs


@dataclass(frozen=True, slots=True)
class Window:
    """Different items that were asked in some time, one row each.

    A test takes repeated items for independent ones.

    Attributes:
        columns: numbers or flags of the items by name, ``(n,)`` each, those
            that `headrace.media.comparable` gives; empty where inputs are not judged.
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
