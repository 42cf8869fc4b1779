"""Signed occlusion: how an answer changes when a piece of the item is removed.

M. D. Zeiler and R. Fergus, "Visualizing and understanding convolutional networks", ECCV
2014, for images. Only answers are needed, so that it works with any engine.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from headrace.media import medium
from headrace.media.forms import Payload, Pieces, Removal
from headrace.records import DataDescription, Record
from headrace.tasks import asks_items, task
from headrace.tasks.forms import Outputs

Answer = Callable[[Payload], Outputs]
Floats = npt.NDArray[np.float64]
ROWS, BYTES = 1024, 2**25  # answered together


def why_not(data: DataDescription) -> str:
    """Why answers to such data are not explained; empty if they are."""
    if not task(data.task).explains or not asks_items(data):
        return f"the answers of a {data.task} are not explained"
    if not medium(data.medium).DIVIDES_ITEMS:
        return f"the medium {data.medium} does not say what the pieces of an item are"
    return ""


class Part(Record):
    """One piece of an item and what it does for the answer.

    Attributes:
        name: in words.
        value: positive where it speaks for the answer.
    """

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Item:
    """An item and the answer to explain.

    Attributes:
        item: in stored form, ``shape``.
        chosen: the answer, from `Explained.chosen`.
        pieces: of the item.
    """

    item: Payload
    chosen: int
    pieces: Pieces

    @classmethod
    def of(cls, item: Payload, chosen: int, data: DataDescription) -> Item:
        """An item of a medium that has pieces."""
        return cls(item, chosen, medium(data.medium).pieces(item, data))

    def removals(self) -> list[Removal]:
        """Nothing, and then each piece that is present, alone."""
        return [(), *((n,) for n in np.flatnonzero(self.pieces.present).tolist())]

    def values(self, numbers: Floats) -> Floats:
        """What each piece does, ``(pieces,)``; 0 where it is not present.

        Args:
            numbers: that are explained, of `removals`.
        """
        values = np.zeros(len(self.pieces.names))
        values[self.pieces.present] = numbers[0] - numbers[1:]
        return values

    def parts(self, values: Floats) -> list[Part]:
        """All pieces that are present, the strongest first."""
        every = zip(self.pieces.names, values.tolist(), strict=True)
        parts = [Part(name=name, value=value) for name, value in every]
        present = list(itertools.compress(parts, self.pieces.present))
        return sorted(present, key=lambda part: -abs(part.value))


def occlude(
    answer: Answer, items: Sequence[Item], data: DataDescription
) -> list[Floats]:
    """How much each piece speaks for an answer: the number with it minus without it.

    Args:
        answer: a model, from raw items ``(n, ...)`` to outputs ``(n, ...)``.
        items: with the answers to explain.
        data: of the model.

    Returns:
        ``(pieces,)`` of each item, in the unit of the number; see `Item.values`.
    """
    numbers = numbers_of(answer, items, [item.removals() for item in items], data)
    return [item.values(own) for item, own in zip(items, numbers, strict=True)]


def numbers_of(
    answer: Answer,
    items: Sequence[Item],
    removals: Sequence[Sequence[Removal]],
    data: DataDescription,
) -> list[Floats]:
    """The number that is explained after each removal, ``(removals,)`` of each item."""
    explained, raw = task(data.task).explained, medium(data.medium).raw
    chosen = np.array([item.chosen for item in items], np.int32)
    numbers = [
        explained.numbers(answer(raw(stored)), chosen[rows])
        for rows, stored in batches(items, removals)
    ]
    ends = np.cumsum([len(own) for own in removals])
    return np.split(np.concatenate(numbers), ends[:-1])


def batches(
    items: Sequence[Item], removals: Sequence[Sequence[Removal]]
) -> Iterator[tuple[list[int], Payload]]:
    """Stored items after their removals, in bounded memory, with their numbers."""
    size = max(item.item.nbytes for item in items)
    at_once = max(1, min(ROWS, BYTES // max(1, size)))
    every = [(row, own) for row, each in enumerate(removals) for own in each]
    for start in range(0, len(every), at_once):
        batch = every[start : start + at_once]
        parts = [
            items[row].pieces.without([removal for _, removal in group])
            for row, group in itertools.groupby(batch, key=itemgetter(0))
        ]
        yield [row for row, _ in batch], np.concatenate(parts)
