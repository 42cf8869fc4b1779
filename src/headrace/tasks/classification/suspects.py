"""Rows whose label is probably wrong, by confident learning.

Source: C. G. Northcutt, L. Jiang, I. L. Chuang, Confident learning: estimating
uncertainty in dataset labels, JAIR 70 (2021), as cleanlab has it. The model has not
learned from test and val. From train it has, so what it contradicts there it does
against what it was told.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np

from headrace.tasks.forms import Judged, Suspect

KEPT = 50
# A model that is hardly sure of anything says nothing of a label.
SURE = 0.5


def find_suspects(parts: Iterable[Judged], classes: Sequence[str]) -> list[Suspect]:
    """The most suspicious rows, worst first, at most `KEPT`.

    Args:
        parts: rows of some splits, one split after the other; each is looked at by
            itself, and only one is in memory.
        classes: in the order of the outputs.
    """
    found: list[Suspect] = []
    for _, own in itertools.groupby(parts, lambda part: part.split):
        found += _suspects(list(own), classes)
    found.sort(key=lambda suspect: suspect.chance_of_label - suspect.chance)
    return found[:KEPT]


def _suspects(parts: Sequence[Judged], classes: Sequence[str]) -> list[Suspect]:
    if not parts:
        return []
    given = np.concatenate([part.outputs for part in parts]).astype(np.float64)
    labels = np.concatenate([part.targets for part in parts])
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
    starts = np.cumsum([0, *(len(part.targets) for part in parts)])
    found = []
    for place in np.asarray(ranked, np.int64)[:KEPT].tolist():
        number = int(np.searchsorted(starts, place, side="right")) - 1
        part, row = parts[number], place - int(starts[number])
        chances, label = part.outputs[row], int(part.targets[row])
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
