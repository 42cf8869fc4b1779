"""The types that all media share.

In a snapshot, all items have one form: arrays of one shape and type. Shorter items are
padded with zeros at the end.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Shape = tuple[int, ...]
Payload = npt.NDArray[Any]
Columns = dict[str, npt.NDArray[Any]]
Flags = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]
_PLACE = re.compile(r"\[\d+\]$| (line|row) \d+.*$")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why one item cannot be used."""

    check: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """An item that could not be decoded or brought to the form."""

    item: str
    split: str
    label: str
    name: str
    check: str
    reason: str
    group: str = ""


class Sizes(NamedTuple):
    """The sizes of decoded files, estimated from their headers.

    They are floats, since a header may claim more than 64 bits hold.

    Attributes:
        unpacked: bytes that each whole file decodes to, ``(n,)``.
        item: at most the bytes of the item made from it, ``(n,)``.
    """

    unpacked: npt.NDArray[np.float64]
    item: npt.NDArray[np.float64]

    @classmethod
    def of(cls, unpacked: Sequence[int], item: Sequence[int]) -> Sizes:
        """From whole numbers, also above 64 bits."""
        return cls(np.array(unpacked, float), np.array(item, float))


def bytes_of(files: Sequence[bytes]) -> Counts:
    """The bytes of each file, ``(n,)``."""
    return np.fromiter(map(len, files), np.int64, len(files))


@dataclass(frozen=True, slots=True)
class Fitted:
    """Items brought to one shape.

    Attributes:
        payload: ``(k, *shape)``, the items that fit.
        valid: bool ``(n,)``, which items those are.
        problem: of all other items; None where there are none.
        notes: counts of changes, such as ``cut to 1 s``.
    """

    payload: Payload
    valid: Flags
    problem: Problem | None
    notes: Counter[str] = field(default_factory=Counter)


class Stack(NamedTuple):
    """Items of one shape.

    Attributes:
        places: of their files, ascending.
        payload: ``(n, *shape)``, of the medium's type; perhaps read-only.
    """

    places: list[int]
    payload: Payload


@dataclass(frozen=True, slots=True)
class Decoded:
    """Decoded files: each is in a stack, or has a problem.

    Attributes:
        stacks: one of each shape, in the order of their first files.
        problems: by the places of the files, ascending.
        notes: counts of changes, such as ``read as UTF-16 LE``.
        file_counts: what else is counted of them: items that were ``resized``, those
            of them that were ``enlarged``, and files with ``positions``, the places
            where they were made, which are dropped.
    """

    stacks: list[Stack]
    problems: dict[int, Problem]
    notes: Counter[str] = field(default_factory=Counter)
    file_counts: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(
        cls,
        items: Sequence[Payload | Problem],
        notes: Counter[str] | None = None,
        file_counts: Counter[str] | None = None,
    ) -> Decoded:
        """From one item or problem for each file, in order."""
        shaped: dict[Shape, dict[int, Payload]] = {}
        problems = {}
        for place, item in enumerate(items):
            if isinstance(item, Problem):
                problems[place] = item
            else:
                shaped.setdefault(item.shape, {})[place] = item
        stacks = [
            Stack([*some], _stacked([*some.values()])) for some in shaped.values()
        ]
        return cls(stacks, problems, notes or Counter(), file_counts or Counter())

    @property
    def items(self) -> list[Payload | Problem]:
        """One item or problem for each file, in order."""
        items: dict[int, Payload | Problem] = dict(self.problems)
        for stack in self.stacks:
            items.update(zip(stack.places, stack.payload, strict=True))
        return [items[place] for place in sorted(items)]


def _stacked(items: list[Payload]) -> Payload:
    # A single large item is not copied.
    return items[0][np.newaxis] if len(items) == 1 else np.stack(items)


@dataclass(frozen=True, slots=True)
class Expectation:
    """An expectation that a medium or a task adds to the contract.

    Attributes:
        check: the name under which failures are reported.
        name: Great Expectations' name, in snake case.
        reason: what a failure means.
        warns: whether a failure is only a warning; else failing rows are quarantined.
        split: the split that is checked; empty: all.
    """

    check: str
    name: str
    arguments: dict[str, Any]
    reason: str = ""
    warns: bool = False
    split: str = ""


def within(
    check: str, column: str, reason: str = "", *, warns: bool = False, **bounds: float
) -> Expectation:
    """Expect each row's value within bounds, ``min_value`` and ``max_value``.

    Another bound is ``mostly``, the share of the rows that must be within.
    """
    name = "expect_column_values_to_be_between"
    return Expectation(check, name, {"column": column, **bounds}, reason, warns)


def never(
    column: str, reason: str, *, warns: bool = True, **share: float
) -> Expectation:
    """Expect a flag of no row, or of few where ``mostly`` is given."""
    arguments = {"column": column, "value_set": [False], **share}
    name = "expect_column_values_to_be_in_set"
    return Expectation(column, name, arguments, reason, warns)


def array_name(names: Sequence[str]) -> str:
    """The array or table of rows with names as ``x_train[17]``, ``a.csv line 2``."""
    return _PLACE.sub("", names[0]) if names else "an array"


@dataclass(frozen=True, slots=True)
class Passages:
    """Parts of some items that may be in other items as well, such as lines.

    Attributes:
        keys: equal ones are equal parts, ``(parts,)``.
        sizes: of each part, ``(parts,)``.
        rows: the item of each part, ``(parts,)``.
        whole: the size of each item; more than its parts where some are too short to
            count, ``(n,)``.
    """

    keys: npt.NDArray[np.uint64]
    sizes: Counts
    rows: Counts
    whole: Counts

    def shares(self, others: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
        """The share of each item that is in parts with a key of others, ``(n,)``.

        Args:
            others: sorted keys.
        """
        places = np.minimum(np.searchsorted(others, self.keys), max(len(others) - 1, 0))
        same = others[places] == self.keys if len(others) else self.keys != self.keys
        sums = np.bincount(self.rows[same], self.sizes[same], len(self.whole))
        return np.asarray(sums / np.maximum(self.whole, 1))


Removal = Sequence[int]


@dataclass(frozen=True, slots=True)
class Pieces:
    """One item in pieces, which together are all of it.

    Attributes:
        names: of each piece, such as ``rows 4 to 7, columns 12 to 15``.
        shape: rows and columns of a map of the pieces; a text has one row.
        present: which pieces hold something that can be removed, bool ``(pieces,)``.
        without: the item as a snapshot stores it, each time without some pieces, by
            their numbers: of k removals ``(k, *shape)``.
    """

    names: Sequence[str]
    shape: tuple[int, int]
    present: Flags
    without: Callable[[Sequence[Removal]], Payload]
