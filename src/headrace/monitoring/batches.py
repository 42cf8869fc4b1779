"""What a version was asked and what it answered, from data or from a request log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.data.corrections import ForgottenItems
from headrace.media.forms import Columns, Payload
from headrace.tasks.forms import Outputs

Texts = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests of one version, the oldest first, one row each.

    Attributes:
        source: the data's URI, or ``log``.
        outputs: ``(n, ...)``.
        columns: of the medium, ``(n,)`` each.
        items: sha256 of each decoded item, hex, ``(n,)``; see also `marked`.
        labels: ``(n,)``; empty where none is known.
        inputs: ``(n, *shape)`` as in snapshots; None where they are not at hand.
        first, last: times of the requests; None if they are not known.
        failed: items that could not be decoded.
        own: rows left out since the version learned from their items, or since they
            are in its reference.
        repeats: rows of the log left out since their item is in a newer one.
        ids: the ``name`` or ``request_id`` of each row, ``(n,)`` each.
        notes: sentences for the report.
    """

    source: str
    outputs: Outputs
    columns: Columns
    items: Texts
    labels: Texts
    inputs: Payload | None = None
    first: datetime | None = None
    last: datetime | None = None
    failed: int = 0
    own: int = 0
    repeats: int = 0
    ids: Mapping[str, Texts] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.outputs)

    def select(self, rows: npt.NDArray[Any]) -> Batch:
        """The rows of a mask ``(n,)``."""
        return replace(
            self,
            outputs=self.outputs[rows],
            columns={name: values[rows] for name, values in self.columns.items()},
            items=self.items[rows],
            labels=self.labels[rows],
            inputs=None if self.inputs is None else self.inputs[rows],
            ids={name: values[rows] for name, values in self.ids.items()},
        )

    def without(self, items: frozenset[str] | set[str]) -> Batch:
        """The rows whose item is none of these, which are counted as `own`."""
        keep = np.array([item not in items for item in self.items], bool)
        if keep.all():
            return self
        return replace(self.select(keep), own=self.own + int((~keep).sum()))

    def relabelled(self, labels: Texts) -> Batch:
        """The rows that have one of these labels ``(n,)``, with it."""
        return replace(self, labels=labels).select(labels != "")

    def deduplicated(self) -> tuple[Batch, int]:
        """The first row of each item, and the number of others.

        A test takes repeated items for independent ones.
        """
        first = np.zeros(len(self), bool)
        first[np.unique(self.items.astype(str), return_index=True)[1]] = True
        return self.select(first), int((~first).sum())

    def marked(self, key: ForgottenItems) -> Batch:
        """The same rows with keyed digests of their items, for what is kept.

        They are the tombstones that forgotten items have.
        """
        marks = [key.mark_item(item) for item in self.items]
        return replace(self, items=np.array(marks, object))
