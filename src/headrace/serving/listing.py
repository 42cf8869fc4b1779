"""The models of a server, as ``/models`` and ``headrace serve --json`` list them."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import ConfigDict, Field

from headrace.explanations import why_not
from headrace.records import Record

if TYPE_CHECKING:
    from headrace.serving.served import Served
    from headrace.serving.slots import Slot


class ListedVersion(Record):
    """A version that can be named."""

    version: int
    role: Literal["champion", "pinned"]
    engine: str

    @classmethod
    def of(cls, served: Served) -> Self:
        """A version that is loaded."""
        names = {"version": served.version, "role": served.role}
        return cls.model_validate({**names, "engine": served.engine.name})


def _seldom(default: Any) -> Any:
    """A member that is there only where it has another value."""
    return Field(default=default, exclude_if=operator.not_)


class Listed(Record):
    """A model, with what answers where no version is named, and the task's targets.

    Attributes:
        asks: what is asked of a model that takes no items.
        explains: whether its answers are explained.
        unexplained: why they are not, where they could be.
        options, sample_rate_hz: of its items; see `headrace.records.Form`.
        longest_input: see `headrace.serving.plain.PlainReader`.
    """

    model_config = ConfigDict(extra="allow")

    name: str
    version: int
    medium: str
    task: str
    shape: tuple[int, ...]
    engine: str
    summary: str
    asks: Literal["", "prompt", "message"] = _seldom("")
    sample_rate_hz: int = _seldom(0)
    options: dict[str, Any] = _seldom({})
    explains: bool = _seldom(False)
    unexplained: str = _seldom("")
    longest_input: int = _seldom(0)
    versions: list[ListedVersion] = Field(description="all that can be named")

    @classmethod
    def of(cls, slot: Slot, served: Served) -> Self:
        """A model, by the version that answers where none is named."""
        data, learned = served.description, served.task
        can_explain, sanity = not why_not(data), served.sanity
        is_shown = sanity.status == "passed"
        return cls(
            name=served.model,
            version=served.version,
            medium=data.medium,
            task=data.task,
            shape=data.shape,
            engine=served.engine.name,
            summary=learned.answers.about(data),
            asks="prompt" if learned.writes else "message" if learned.speaks else "",
            sample_rate_hz=data.sample_rate_hz,
            options=data.options,
            explains=can_explain and is_shown,
            unexplained="" if is_shown or not can_explain else sanity.reason,
            longest_input=served.reader.longest,
            versions=[ListedVersion.of(v) for _, v in sorted(slot.versions.items())],
            **data.target,
        )
