"""What media say to the rest of the house, whatever they are.

An item at rest has a fixed form: an array of one shape and type for all items of a data
set. What is shorter than the form is padded with zeros at its end.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy.typing as npt

Payload = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Problem:
    """Why one item cannot take the fixed form."""

    check: str
    reason: str


class Size(NamedTuple):
    """How large a file is, as far as its header tells.

    Attributes:
        unpacked: bytes that all of it decodes to.
        item: bytes of what is kept of it, at most.
    """

    unpacked: int
    item: int


@dataclass(frozen=True, slots=True)
class Fitted:
    """Items brought to one shape.

    Attributes:
        payload: ``(k, *shape)``, the rows that could be.
        kept: bool ``(n,)``, which rows those are.
        problem: of all other rows; None where there are none.
        notes: what was done to how many of them, such as ``cut to 1 s``.
    """

    payload: Payload
    kept: npt.NDArray[Any]
    problem: Problem | None
    notes: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Decoded:
    """Encoded items that were decoded one by one.

    Attributes:
        items: in their order; each an array of the medium's type.
        notes: what was done to how many of them, such as ``read as GBK``.
    """

    items: list[Payload | Problem]
    notes: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a medium or a task expects of the columns of items.

    Attributes:
        check: what a failing row, or a warning, is filed under.
        name: Great Expectations' name, in snake case.
        arguments: of the expectation.
        reason: what it means when a row fails.
        warns: a failure is told and stops nothing; else the rows that fail are set
            aside.
        split: only the rows of this split; empty: all.
    """

    check: str
    name: str
    arguments: dict[str, Any]
    reason: str = ""
    warns: bool = False
    split: str = ""
