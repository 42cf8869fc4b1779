"""Test items of the champion's evaluations that are no longer in the data.

The models answer them from their old snapshot. Otherwise a challenger could win by a
data set without the rows that it predicts wrongly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.data.snapshots.reading import DIGEST
from headrace.data.snapshots.splits import SplitRows
from headrace.errors import IntegrityError
from headrace.media import medium
from headrace.records import DataDescription
from headrace.stages.evaluation.answers import scores_of
from headrace.stages.evaluation.judged import FindSnapshot, Items, is_among, items_of
from headrace.state.ledger import Attempt
from headrace.state.store import Store
from headrace.tasks import task
from headrace.tasks.forms import Scores, Targets

ROWS = 20_000  # rows are in hash order, so the first ones are a random sample
CHALLENGER = 0  # which has no version yet
SETS = 20  # of judged items, the newest first


@dataclass(frozen=True, slots=True)
class Vanished:
    """The scores of models on rows that are no longer in the data.

    Attributes:
        items: sha256 of each, ``(n,)``.
        scores: of each model, ``(n,)``.
        unanswered: number of rows whose snapshot is gone or has another form.
    """

    items: Items
    scores: Mapping[int, Scores]
    unanswered: int = 0


def answer_again(
    models: Mapping[int, Any],
    description: DataDescription,
    attempts: Sequence[Attempt],
    items: Items,
    store: Store,
    find: FindSnapshot,
) -> Vanished:
    """Let the models answer the rows that have vanished.

    Args:
        models: Keras models from raw items to answers, by version.
        description: of their input.
        attempts: of the champion or against it, oldest first.
        items: of the present test split, ``(n,)``.
        store: of judged items.
        find: gives a snapshot by its digest; None where it is gone.
    """
    judge, seen = task(description.task).judge, np.unique(items)
    taken = [np.empty(0, DIGEST)]
    scores: dict[int, list[Scores]] = {version: [] for version in models}
    unanswered, left = 0, ROWS
    sets = dict.fromkeys((a.rows_digest, a.snapshot_digest) for a in attempts[::-1])
    for rows_digest, digest in list(sets)[:SETS]:
        judged = items_of(store, find, rows_digest, digest)
        if judged is None or left <= 0:
            continue
        wanted = judged[~is_among(judged, seen)][:left]
        answered = 0
        for part, raw, targets in _rows(find, digest, wanted, description):
            answered += len(part)
            taken.append(part)
            for version, model in models.items():
                scores[version].append(scores_of(model, raw, targets, judge))
        unanswered += len(wanted) - answered
        left -= len(wanted)
        seen = np.union1d(seen, wanted)
    return Vanished(
        np.concatenate(taken),
        {
            version: np.concatenate(parts) if parts else np.empty(0, bool)
            for version, parts in scores.items()
        },
        unanswered,
    )


def _rows(
    find: FindSnapshot, digest: str, wanted: Items, description: DataDescription
) -> Iterator[tuple[Items, Any, Targets]]:
    """Items, raw payload and targets of the wanted rows, a shard at a time."""
    snapshot = find(digest) if len(wanted) else None
    if snapshot is None or snapshot.description != description:
        return
    module = medium(description.medium)
    try:
        rows = SplitRows(snapshot, "test")
        for shard in np.flatnonzero(rows.counts).tolist():
            items = rows.items_of(shard)
            first = np.zeros(len(items), bool)
            first[np.unique(items, return_index=True)[1]] = True
            chosen = is_among(items, wanted) & first
            if chosen.any():
                part = rows.read(shard)
                raw = module.raw(part.items[chosen])
                yield items[chosen], raw, part.targets[chosen]
    except IntegrityError:
        return
