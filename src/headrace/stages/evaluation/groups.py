"""The score on groups, such as speakers, that are in train or not."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection
from statistics import NormalDist

import numpy as np

from headrace.records import Finding, Metrics
from headrace.tasks import Task
from headrace.tasks.forms import Scores

SHOWN = 50
LEVEL = 0.01


def group_slices(
    groups: list[str],
    scores: Scores,
    trained: Collection[str],
    confidence: float,
    learned: Task,
) -> dict[str, Metrics]:
    """The score of each group of the test rows, and of groups in and not in train.

    Args:
        groups: of each row, ``(n,)``; empty where a row has none.
        scores: of each row, ``(n,)``.
        trained: the groups of train.
        confidence: of the intervals.
        learned: the task.

    Returns:
        ``group=...`` of the largest groups, and ``groups=seen`` and ``groups=unseen``;
        nothing where there are no groups.
    """
    names = np.array(groups, object)
    if not any(groups):
        return {}
    known = np.array([group in trained for group in groups], bool)
    rows = {"groups=seen": known, "groups=unseen": ~known}
    for group, _ in Counter(groups).most_common(SHOWN):
        rows[f"group={group}"] = names == group
    return {
        name: {
            "rows": float(mine.sum()),
            **learned.judge.summary(scores[mine], confidence),
        }
        for name, mine in rows.items()
        if mine.any()
    }


def unseen_groups(
    slices: dict[str, Metrics], score: str, val_score: float | None, val_rows: int
) -> tuple[Metrics, list[Finding]]:
    """The scores of unseen and of seen groups, and a finding where they differ.

    Where the test split has only unseen groups, the score of val stands for the seen
    ones, since its rows are taken from train.

    Args:
        slices: of `group_slices`.
        score: the name of the score.
        val_score, val_rows: of the val split.
    """
    unseen, seen = slices.get("groups=unseen"), slices.get("groups=seen")
    if unseen is None:
        return {}, []
    if seen is None and val_score is not None and val_rows:
        seen = {"rows": float(val_rows), score: val_score}
    metrics = {f"test_{score}_unseen_groups": unseen[score]}
    if seen is None:
        return metrics, []
    metrics[f"{score}_seen_groups"] = seen[score]
    p_value = _equal(unseen, seen, score)
    if p_value >= LEVEL:
        return metrics, []
    message = (
        f"{score.replace('_', ' ')} is {unseen[score]:.4f} on groups that are not in "
        f"train ({unseen['rows']:,.0f} rows) and {seen[score]:.4f} on those that are "
        f"({seen['rows']:,.0f} rows): a difference beyond chance (p = {p_value:.2g})"
    )
    rows = int(unseen["rows"])
    finding = Finding(check="unseen_groups", split="test", count=rows, message=message)
    return metrics, [finding]


def _equal(one: Metrics, other: Metrics, score: str) -> float:
    """The two-sided p-value of equal means, by the normal approximation.

    Proportions have a pooled variance. Numbers have one variance each; that of the
    validation rows is unknown, and gives 1.
    """
    rows, others = one["rows"], other["rows"]
    deviation = f"{score}_deviation"
    if deviation not in one:
        pooled = (one[score] * rows + other[score] * others) / (rows + others)
        variance = pooled * (1 - pooled) * (1 / rows + 1 / others)
    elif deviation in other:
        variance = one[deviation] ** 2 / rows + other[deviation] ** 2 / others
    else:
        return 1.0
    if not variance:
        return 1.0
    z = abs(one[score] - other[score]) / math.sqrt(variance)
    return 2 * (1 - NormalDist().cdf(z))
