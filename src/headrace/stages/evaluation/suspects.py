"""Rows whose label is probably wrong, by confident learning.

Source: C. G. Northcutt, L. Jiang, I. L. Chuang, Confident learning: estimating
uncertainty in dataset labels, JAIR 70 (2021), as cleanlab has it. The model has not
learned from test and val. From train it has, so what it contradicts there it does
against what it was told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.data.snapshots import SplitRows
from headrace.media import medium
from headrace.models.logged.inference import probabilities

KEPT = 50
ROWS_OF_A_SPLIT = 20_000
# A model that is hardly sure of anything says nothing of a label.
SURE = 0.5


@dataclass(frozen=True, slots=True)
class Suspect:
    """A row whose label is probably wrong.

    Attributes:
        item: ``shape``, of the medium's type.
        label: as the data has it.
        likely: what the model takes it for.
        chance: the model's probability of that.
        chance_of_label: that of the label.
    """

    item: npt.NDArray[Any]
    name: str
    split: str
    label: str
    likely: str
    chance: float
    chance_of_label: float


@dataclass(frozen=True, slots=True)
class _Told:
    split: str
    items: npt.NDArray[Any]
    labels: npt.NDArray[np.int32]
    names: list[str]
    given: npt.NDArray[np.float32]


def find_suspects(model: Any, splits: Iterable[SplitRows]) -> list[Suspect]:
    """The most suspicious rows of some splits, worst first, at most `KEPT`.

    Of a large split the first shards are looked at, which are a random sample of it.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
    found: list[Suspect] = []
    for rows in splits:
        told = list(_told(model, rows))
        classes = rows.snapshot.description.classes
        found += _suspects(told, classes)
    found.sort(key=lambda suspect: suspect.chance_of_label - suspect.chance)
    return found[:KEPT]


def _told(model: Any, rows: SplitRows) -> Iterable[_Told]:
    module = medium(rows.snapshot.description.medium)
    left = ROWS_OF_A_SPLIT
    for shard in np.flatnonzero(rows.counts).tolist():
        part = rows.read(shard)
        items = part.items[:left]
        given = probabilities(model, module.raw(items))
        yield _Told(rows.split, items, part.labels[:left], part.names[:left], given)
        left -= len(items)
        if not left:
            return


def _suspects(parts: Sequence[_Told], classes: Sequence[str]) -> list[Suspect]:
    if not parts:
        return []
    given = np.concatenate([part.given for part in parts]).astype(np.float64)
    labels = np.concatenate([part.labels for part in parts])
    if not np.isfinite(given).all() or len(np.unique(labels)) < len(classes):
        return []  # what is unknown of a class cannot be weighed against others
    from cleanlab.filter import find_label_issues

    ranked = find_label_issues(
        labels,
        given / given.sum(axis=1, keepdims=True),
        filter_by="confident_learning",
        return_indices_ranked_by="normalized_margin",
        n_jobs=1,
    )
    starts = np.cumsum([0, *(len(part.labels) for part in parts)])
    found = []
    for place in np.asarray(ranked, np.int64)[:KEPT].tolist():
        number = int(np.searchsorted(starts, place, side="right")) - 1
        part, row = parts[number], place - int(starts[number])
        chances, label = part.given[row], int(part.labels[row])
        best = int(chances.argmax())
        if best == label or chances[best] < SURE:
            continue
        found.append(
            Suspect(
                part.items[row],
                part.names[row],
                part.split,
                classes[label],
                classes[best],
                float(chances[best]),
                float(chances[label]),
            )
        )
    return found
