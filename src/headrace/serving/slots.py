"""The models of a server by their names in URLs, and the names that it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from headrace.errors import NotFoundError
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
