"""Scores and confidence by group, of groups that train has and of those it has not."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from headrace.display.signs import as_score
from headrace.records import Finding, Metrics
from headrace.stages.evaluation.answers import AnsweredSplit

SHOWN = 50
LEVEL = 0.01
NOTABLE = 0.05  # of a confidence that is too high


def group_slices(
    answers: AnsweredSplit, train: Callable[[], Collection[str]], sure: float
) -> dict[str, Metrics]:
    """The score of each group of the test rows, and of groups in and not in train.

    Args:
        answers: with the group and the score of each row.
        train: reads the groups of train.
        sure: the confidence of the intervals.

    Returns:
        ``group=...`` of the largest groups, and ``groups=seen`` and ``groups=unseen``;
        nothing where there are no groups. Where answers have a confidence, its mean is
        ``confidence``, and ``right`` is the share of right answers.
    """
    groups = answers.groups
    if not any(groups):
        return {}
    in_train, names = train(), np.array(groups, object)
    is_seen = np.array([group in in_train for group in groups], bool)
    rows = {"groups=seen": is_seen, "groups=unseen": ~is_seen}
    for group, _ in Counter(groups).most_common(SHOWN):
        rows[f"group={group}"] = names == group
    judged = answers.judged
    scores, weights, certain = judged.scores, judged.weights, judged.certainty

    def summary(mine: npt.NDArray[np.bool_]) -> Metrics:
        own = None if weights is None else weights[mine]
        whole = judged.judge.summary(scores[mine], sure, own)
        if certain is not None:
            whole["confidence"] = float(certain.promised[mine].mean())
            whole["right"] = float(certain.right[mine].mean())
        return whole

    return {
        name: {"rows": float(mine.sum()), **summary(mine)}
        for name, mine in rows.items()
        if mine.any()
    }


def unseen_groups(
    slices: dict[str, Metrics], score: str, val_score: float | None, val_rows: int
) -> tuple[Metrics, list[Finding]]:
    """The scores of unseen and of seen groups, and findings where they disappoint.

    The tests take all rows as independent. Rows of one group are alike, so that they
    only tell a difference from chance among rows, not from that among groups.

    Where the test split has only unseen groups, the score of val stands for the seen
    ones, if its rows are of groups of train.

    Args:
        slices: of `group_slices`.
        score: the name of the score.
        val_score, val_rows: of the val split; None where it has groups of its own.
    """
    unseen, others = slices.get("groups=unseen"), slices.get("groups=seen")
    if unseen is None:
        return {}, []
    if others is None and val_score is not None and val_rows:
        others = {"rows": float(val_rows), score: val_score}
    metrics, findings = {f"test_{score}_unseen_groups": unseen[score]}, []
    if others is not None:
        metrics[f"{score}_seen_groups"] = others[score]
        findings += _different(unseen, others, score)
    return metrics, findings + _overconfident(unseen)


def _different(unseen: Metrics, others: Metrics, score: str) -> list[Finding]:
    p_value = _equal(unseen, others, score)
    if p_value >= LEVEL:
        return []
    message = (
        f"{score.replace('_', ' ')} is {as_score(unseen[score])} on groups that are "
        f"not in train ({unseen['rows']:,.0f} rows) and {as_score(others[score])} on "
        f"those that are ({others['rows']:,.0f} rows): more than chance among rows "
        f"explains (p = {p_value:.2g}); single groups may differ as much"
    )
    rows = int(unseen["rows"])
    return [Finding(check="unseen_groups", split="test", count=rows, message=message)]


def _overconfident(unseen: Metrics) -> list[Finding]:
    """A confidence on unseen groups that is higher than their share of right answers.

    The variance is the largest that right answers with this mean confidence can have.
    """
    promised, right, rows = (unseen.get(n) for n in ("confidence", "right", "rows"))
    if promised is None or right is None or not rows or not math.isfinite(promised):
        return []
    deviation = math.sqrt(max(0.0, promised * (1 - promised)) / rows)  # of rounding
    if promised - right <= max(NOTABLE, NormalDist().inv_cdf(1 - LEVEL) * deviation):
        return []
    message = (
        f"the mean confidence is {promised:.2f} on groups that are not in train, and "
        f"{right:.2f} of these {rows:,.0f} answers are right: it promises too much"
    )
    check, count = "unseen_confidence", int(rows)
    return [Finding(check=check, split="test", count=count, message=message)]


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
