"""How a model does on groups, such as speakers, that it has and has not heard."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from headrace.records import Finding, Metrics
from headrace.stages.evaluation.metrics import wilson_interval

SHOWN = 50
LEVEL = 0.01


def group_slices(
    groups: list[str],
    right: npt.NDArray[np.bool_],
    trained: Collection[str],
    confidence: float,
) -> dict[str, Metrics]:
    """The accuracy of each group of the test rows, and of those known from train.

    Args:
        groups: of each row, ``(n,)``; empty where a row has none.
        right: which rows were told rightly, ``(n,)``.
        trained: the groups of train.
        confidence: of the intervals.

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
        name: _slice(right[mine], confidence)
        for name, mine in rows.items()
        if mine.any()
    }


def _slice(right: npt.NDArray[np.bool_], confidence: float) -> Metrics:
    low, high = wilson_interval(int(right.sum()), len(right), confidence)
    return {
        "rows": float(len(right)),
        "accuracy": float(right.mean()),
        "accuracy_low": low,
        "accuracy_high": high,
    }


def unseen_groups(
    slices: dict[str, Metrics], val_accuracy: float | None, val_rows: int
) -> tuple[Metrics, list[Finding]]:
    """The accuracy on unseen groups beside that on seen ones, and whether they differ.

    Where the test split has only unseen groups, seen ones are those of val, whose rows
    are carved from train.

    Args:
        slices: of `group_slices`.
        val_accuracy, val_rows: of the val split.
    """
    unseen, seen = slices.get("groups=unseen"), slices.get("groups=seen")
    if unseen is None:
        return {}, []
    if seen is None and val_accuracy is not None and val_rows:
        seen = {"rows": float(val_rows), "accuracy": val_accuracy}
    metrics = {"test_accuracy_unseen_groups": unseen["accuracy"]}
    if seen is None:
        return metrics, []
    metrics["accuracy_seen_groups"] = seen["accuracy"]
    p_value = _two_shares(unseen, seen)
    if p_value >= LEVEL:
        return metrics, []
    message = (
        f"accuracy is {unseen['accuracy']:.4f} on groups that are not in train "
        f"({unseen['rows']:,.0f} rows) and {seen['accuracy']:.4f} on those that are "
        f"({seen['rows']:,.0f} rows): a difference beyond chance (p = {p_value:.2g})"
    )
    rows = int(unseen["rows"])
    finding = Finding(check="unseen_groups", split="test", count=rows, message=message)
    return metrics, [finding]


def _two_shares(one: Metrics, other: Metrics) -> float:
    """Two-sided p of two shares being equal, by the pooled normal approximation."""
    rows, others = one["rows"], other["rows"]
    pooled = (one["accuracy"] * rows + other["accuracy"] * others) / (rows + others)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / rows + 1 / others))
    if not spread:
        return 1.0
    z = abs(one["accuracy"] - other["accuracy"]) / spread
    return 2 * (1 - NormalDist().cdf(z))
