"""The explanation of an answer, and the strongest pieces of a map."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field

from headrace.explanations.places import Map, of_places
from headrace.explanations.verdict import Verdict
from headrace.media.pieces import Pieces
from headrace.records import Record

MOST = 5


class Part(Record):
    """One piece of an item and what it does for the answer.

    Attributes:
        name: in words.
        value: positive where it speaks for the answer.
    """

    name: str
    value: float


class Explanation(Record):
    """Which pieces of an item speak for the answer to it.

    Attributes:
        answer: the same as a server answers.
        words: the answer in words.
        unit: of the values of the parts.
        sanity: of each method.
    """

    model: str
    version: int | None
    answer: dict[str, Any]
    words: str
    method: Literal["", "gradients", "occlusion"] = Field(
        description="empty where none has passed its sanity check"
    )
    unit: str
    of: str = Field(default="", description="the class or tag that the parts are about")
    completeness_error: float | None = Field(
        default=None,
        description="of gradients: how far the parts are from adding up, as a share",
    )
    sanity: dict[str, Verdict]
    parts: tuple[Part, ...] = Field(
        default=(), description="all pieces, the strongest first"
    )


def parts_of(one: Map, pieces: Pieces) -> list[Part]:
    """All pieces that are present, in their order; places are summed over pieces."""
    values = one.values
    if values.shape != pieces.shape:
        steps = [np.linspace(0, 1, size + 1) for size in pieces.shape]
        values, _ = of_places(values, one.present, pieces, (steps[0], steps[1]))
    flat = values.ravel().tolist()
    named = zip(pieces.names, flat, pieces.present.tolist(), strict=True)
    return [Part(name=name, value=value) for name, value, present in named if present]


def strongest(one: Map, pieces: Pieces, most: int | None = MOST) -> list[Part]:
    """The pieces with the largest values of either sign, the strongest first.

    Args:
        one: the map of an item.
        pieces: of the item.
        most: None: all that are present.
    """
    return sorted(parts_of(one, pieces), key=lambda part: -abs(part.value))[:most]
