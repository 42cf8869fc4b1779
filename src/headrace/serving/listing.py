"""The models of a server, by their names in URLs and as ``/models`` lists them."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from pydantic import ConfigDict, Field

from headrace.errors import NotFoundError
from headrace.explanations import why_not
from headrace.records import Record
from headrace.serving.replies import unavailable

if TYPE_CHECKING:
    from headrace.serving.served import Served
    from headrace.state.ledger import Ledger, Version


class Slot:
    """A model by its name in URLs: the version that answers, and pinned ones.

    Attributes:
        follows: whether ``current`` is the champion, also after a promotion.
        current: what answers where no version is named; replaced as a whole.
        pinned: other versions that can be named.
        failures: what is wrong with versions, in a few words.
    """

    def __init__(self, model: str) -> None:
        self.model = model
        self.follows = False
        self.current: Served | None = None
        self.pinned: dict[int, Served] = {}
        self.failures: dict[int, str] = {}

    @property
    def failure(self) -> str:
        """What is wrong, in a few words; empty if nothing is."""
        return "; ".join(self.failures.values())

    @property
    def versions(self) -> dict[int, Served]:
        """All that can be named, by version."""
        current = {self.current.version: self.current} if self.current else {}
        return {**self.pinned, **current}

    def champion(self) -> Served:
        """``current``; HttpError 503 before it is loaded."""
        if self.current is None:
            raise unavailable(f"{self.model} is not loaded yet.")
        return self.current


class WantedVersion(NamedTuple):
    """A model to serve: its champion, or one version.

    Attributes:
        version: None: the champion, also after a promotion.
    """

    model: str
    version: int | None

    @classmethod
    def parse(cls, name: str) -> WantedVersion:
        """``MODEL``, ``MODEL@champion`` or ``MODEL/VERSION``; else NotFoundError."""
        model, slash, number = name.partition("/")
        if slash and model and number.isdecimal():
            return cls(model, int(number))
        model, at, alias = name.partition("@")
        if slash or not model or (at and alias != "champion"):
            raise NotFoundError(
                f"{name!r} is not a model.",
                "Name MODEL, MODEL@champion or MODEL/VERSION.",
            )
        return cls(model, None)

    def find(self, ledger: Ledger) -> Version:
        """The version that answers now; raises NotFoundError."""
        if self.version is None:
            return ledger.find(self.model)
        return ledger.version(self.model, self.version)


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
