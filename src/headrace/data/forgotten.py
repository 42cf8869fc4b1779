"""Which items of a pipeline's data were forgotten, by keyed digests."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.state.ledger import Ledger

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class ForgottenItems:
    """The tombstones that apply to one pipeline; other processes can have a copy.

    An item is forgotten in the data of every pipeline, and a group in that of one.

    Attributes:
        pipeline: its name; empty if only items count.
        key: of the ledger, hex.
        marks: the tombstones.
    """

    pipeline: str = ""
    key: str = ""
    marks: frozenset[str] = frozenset()

    @classmethod
    def of(cls, ledger: Ledger, pipeline: str = "") -> ForgottenItems:
        """The tombstones of a ledger."""
        return cls(pipeline, ledger.facts.secret(), ledger.facts.tombstones())

    def __bool__(self) -> bool:
        return bool(self.marks)

    @property
    def digest(self) -> str:
        """A sha256 over the tombstones; empty if there is none."""
        text = "\n".join([self.pipeline, *sorted(self.marks)])
        return hashlib.sha256(text.encode()).hexdigest() if self.marks else ""

    def mark_item(self, digest: str) -> str:
        """The tombstone of an item, by its sha256, hex."""
        return self._mark("item", digest)

    def mark_group(self, value: str) -> str:
        """The tombstone of a group of this pipeline."""
        return self._mark("group", self.pipeline, value)

    def _mark(self, *parts: str) -> str:
        text = "\0".join(parts).encode()
        return hmac.new(bytes.fromhex(self.key), text, hashlib.sha256).hexdigest()

    def has_items(self, digests: Iterable[str]) -> npt.NDArray[np.bool_]:
        """Whether each item is forgotten, by its sha256 in hex, bool ``(n,)``."""
        import numpy as np

        if not self.marks:
            return np.zeros(len([*digests]), bool)
        forgotten = (self.mark_item(digest) in self.marks for digest in digests)
        return np.fromiter(forgotten, bool)

    def has_rows(
        self, digests: Sequence[str], groups: Sequence[str]
    ) -> npt.NDArray[np.bool_]:
        """Whether each row is forgotten, as an item or by its group, bool ``(n,)``."""
        import numpy as np

        forgotten = self.has_items(digests)
        if not self.marks:
            return forgotten
        by_group = {g: self.mark_group(g) in self.marks for g in {*groups} - {""}}
        forgotten |= np.fromiter((by_group.get(g, False) for g in groups), bool)
        return forgotten
