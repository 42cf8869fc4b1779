"""Corrected labels and forgotten items, which the next ingestion heeds.

Corrections are files in the store, one for each time that labels were corrected or
that all corrections were withdrawn, each named by its own digest; the newest counts.
Forgotten items are keyed digests in the ledger.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import Field

from headrace.errors import IntegrityError
from headrace.records import Record
from headrace.state.ledger import Ledger
from headrace.state.store import Store

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

FOLDER = "corrections"


class Correction(NamedTuple):
    """A corrected label.

    Attributes:
        item: sha256 of the item as it is in a snapshot.
        given: the label in the source.
        label: the label to use.
    """

    item: str
    given: str
    label: str


class Corrections(Record):
    """All corrections of a pipeline.

    Attributes:
        who: the user who made the last ones.
        when: ISO 8601, UTC.
    """

    pipeline: str
    rows: tuple[Correction, ...] = ()
    who: str = ""
    when: str = Field(default_factory=lambda: datetime.now(UTC).isoformat())

    @property
    def digest(self) -> str:
        """sha256 of the corrections, whoever made them; empty if there are none."""
        text = json.dumps(sorted(map(list, self.rows)))
        return hashlib.sha256(text.encode()).hexdigest() if self.rows else ""

    def labels(self) -> dict[tuple[str, str], str]:
        """The label to use, by the item and the label in the source."""
        return {(row.item, row.given): row.label for row in self.rows}

    def with_rows(self, rows: Iterable[Correction], who: str) -> Corrections:
        """These corrections and further ones, which replace those of the same label."""
        labels = self.labels() | {(row.item, row.given): row.label for row in rows}
        merged = (Correction(*key, label) for key, label in sorted(labels.items()))
        return Corrections(pipeline=self.pipeline, rows=tuple(merged), who=who)


def find_corrections(store: Store, pipeline: str) -> Corrections:
    """The corrections of a pipeline; without rows if there are none.

    Raises:
        IntegrityError: a file of them was changed.
    """
    every = _all(store, pipeline).values()
    none = Corrections(pipeline=pipeline, when="")
    return max(every, key=lambda one: one.when, default=none)


def corrections_of(store: Store, pipeline: str, digest: str) -> Corrections | None:
    """The corrections with a digest, also if they no longer count; raises as above."""
    every = _all(store, pipeline).values() if digest else ()
    return next((one for one in every if one.digest == digest), None)


def _all(store: Store, pipeline: str) -> dict[str, Corrections]:
    """All corrections of a pipeline, by their keys."""
    every = {}
    for name in store.names(f"{FOLDER}/{pipeline}"):
        key = f"{FOLDER}/{pipeline}/{name}"
        data = store.read(key)
        try:
            if name != _name_of(data):
                raise ValueError("it is not what its name says")
            every[key] = Corrections.model_validate_json(data)
        except ValueError:
            raise IntegrityError(
                f"The corrected labels of {pipeline} in {store.uri(key)} were changed.",
                "Delete this file, and apply the reviewed file again with `headrace "
                f"relabel {pipeline} --apply FILE`.",
            ) from None
    return every


def save_corrections(store: Store, corrections: Corrections) -> str:
    """Write corrections, which count from now on; returns their URI."""
    data = corrections.model_dump_json(indent=1).encode()
    return store.write(f"{FOLDER}/{corrections.pipeline}/{_name_of(data)}", data)


def drop_items(store: Store, pipeline: str, is_gone: Callable[[list[str]], Any]) -> int:
    """Leave items out of a pipeline's corrections, and of the earlier ones; how many.

    Args:
        is_gone: tells of items, by their sha256, which are to be left out, ``(n,)``.

    Raises:
        IntegrityError: a file of them was changed.
    """
    every, last = _all(store, pipeline), find_corrections(store, pipeline)
    old = [k for k, one in every.items() if any(is_gone([r.item for r in one.rows]))]
    if not old:
        return 0
    gone = is_gone([row.item for row in last.rows])
    rows = [row for row, out in zip(last.rows, gone, strict=True) if not out]
    left = Corrections(pipeline=pipeline, rows=tuple(rows), who=last.who)
    save_corrections(store, left)
    for key in old:
        store.delete(key)
    return len(last.rows) - len(rows)


def _name_of(data: bytes) -> str:
    return f"{hashlib.sha256(data).hexdigest()[:32]}.json"


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
