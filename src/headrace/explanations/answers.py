"""The explanation of one answer, as a server and a command give it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from headrace.explanations.occlusion import Part
from headrace.explanations.verdict import Verdict
from headrace.records import Record


class Explanation(Record):
    """Which pieces of an item speak for the answer to it.

    Attributes:
        answer: the same as a server answers.
        words: the answer in words.
        unit: of the values of the parts.
        sanity: whether explanations of the version are shown.
    """

    model: str
    version: int | None
    answer: dict[str, Any]
    words: str
    unit: str
    of: str = Field(default="", description="the class or tag that the parts are about")
    sanity: Verdict
    parts: tuple[Part, ...] = Field(
        default=(),
        description="all pieces, the strongest first; none unless the check has passed",
    )
