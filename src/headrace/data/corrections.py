"""Corrected labels, which the next ingestion of a pipeline puts in their place.

They are files in the store, one for each time that labels were corrected or that all
corrections were withdrawn. The ledger has their digests; the last file counts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from pydantic import Field, ValidationError

from headrace.errors import IntegrityError
from headrace.records import Record
from headrace.state.anchored import AnchoredStore
from headrace.state.ledger.records import utc_now

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
    when: str = Field(default_factory=utc_now)

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


def find_corrections(anchored: AnchoredStore, pipeline: str) -> Corrections:
    """The corrections of a pipeline; without rows if there are none.

    Raises:
        IntegrityError: the file of the last ones is gone or was changed.
    """
    last = anchored.ledger.files.last_anchor_below(f"{FOLDER}/{pipeline}/")
    if not last:
        return Corrections(pipeline=pipeline)
    data = anchored.read(last)
    try:
        return Corrections.model_validate_json(data or b"")
    except ValidationError:
        raise IntegrityError(
            f"The corrected labels of {pipeline} in {anchored.store.uri(last)} are "
            "gone or were changed.",
            "Apply the reviewed file again: `headrace relabel "
            f"{pipeline} --withdraw`, then --apply FILE.",
        ) from None


def corrections_of(
    anchored: AnchoredStore, pipeline: str, digest: str
) -> Corrections | None:
    """The corrections with a digest, also if they no longer count."""
    folder = f"{FOLDER}/{pipeline}"
    for name in anchored.store.names(folder) if digest else ():
        corrections = anchored.read_record(f"{folder}/{name}", Corrections)
        if corrections is not None and corrections.digest == digest:
            return corrections
    return None


def save_corrections(anchored: AnchoredStore, corrections: Corrections) -> str:
    """Write corrections, which count from now on; returns their URI."""
    data = _as_bytes(corrections)
    return anchored.write(f"{FOLDER}/{corrections.pipeline}/{_name_of(data)}", data)


def drop_items(
    anchored: AnchoredStore, pipeline: str, is_gone: Callable[[list[str]], Any]
) -> int:
    """Leave items out of a pipeline's corrections, and of the earlier ones; how many.

    Args:
        is_gone: tells of items, by their sha256, which are to be left out, ``(n,)``.

    Raises:
        IntegrityError: the file of the last ones is gone or was changed.
    """
    folder, last = f"{FOLDER}/{pipeline}", find_corrections(anchored, pipeline)
    old = {}
    for name in anchored.store.names(folder):
        earlier = anchored.read_record(f"{folder}/{name}", Corrections)
        if earlier is None or any(is_gone([row.item for row in earlier.rows])):
            old[f"{folder}/{name}"] = ""
    if not old:
        return 0
    gone = is_gone([row.item for row in last.rows])
    rows = [row for row, out in zip(last.rows, gone, strict=True) if not out]
    data = _as_bytes(last.model_copy(update={"rows": tuple(rows)}))
    # The last record counts, so that it is added with the withdrawal of the others.
    key = f"{folder}/{_name_of(data)}"
    anchored.write_all({key: data}, {**old, key: ""})
    for name in old.keys() - {key}:
        anchored.store.delete(name)
    return len(last.rows) - len(rows)


def _as_bytes(corrections: Corrections) -> bytes:
    return corrections.model_dump_json(indent=1).encode()


def _name_of(data: bytes) -> str:
    return f"{hashlib.sha256(data).hexdigest()[:32]}.json"
