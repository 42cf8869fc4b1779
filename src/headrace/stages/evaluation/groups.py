"""The groups of an evaluation: their scores, those that train lacks, and the pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from headrace.display.pictures import ACCENT, INK, new_figure, save
from headrace.display.signs import as_score
from headrace.gates.intervals import Groups
from headrace.gates.kinds import JudgedRows
from headrace.gates.kinds.fairness import compare_groups
from headrace.media.forms import Flags
from headrace.records import Finding, Metrics
from headrace.stages.evaluation.answers import AnsweredSplit, EvaluatedModel, Look

SEEN, UNSEEN = "groups=seen", "groups=unseen"
_SHOWN, _PAIRS, _DRAWN = 50, 20, 50
_LEVEL = 0.01  # of the interval by which unseen groups differ


def judged_rows(evaluated: EvaluatedModel) -> JudgedRows:
    """The rows of test as gates compare them; an item counts once in its group."""
    once, judged = evaluated.once, evaluated.answers.judged
    groups = evaluated.answers.groups
    outputs, targets = judged.outputs[once], judged.targets[once]
    return JudgedRows(
        score=evaluated.score,
        scores=judged.scores[once],
        weights=None if judged.weights is None else judged.weights[once],
        groups=[groups[place] for place in np.flatnonzero(once)],
        rate=evaluated.judge.judged(outputs, targets, judged.data).rate,
        texts=evaluated.judge.texts,
    )


def look_at(
    evaluated: EvaluatedModel, rows: JudgedRows, train: Collection[str]
) -> Look:
    """Look at the groups of the test rows, if they have some.

    Args:
        evaluated: the evaluation.
        rows: of the test split, from `judged_rows`.
        train: the groups of train.

    Returns:
        the slices of `group_slices`, and ``pair=HIGHER, LOWER`` of the pairs that
        differ most; ``group_difference``, and the scores of unseen and of seen groups.
    """
    answers, score = evaluated.answers, evaluated.score
    parts = _parts(answers.groups, train)
    if not parts:
        return Look()
    confidence = evaluated.context.spec.evaluation.confidence
    slices = group_slices(answers, parts, confidence)
    fairness = compare_groups(
        rows.scores, rows.groups, rows.weights, confidence=confidence
    )
    metrics: Metrics = {}
    if UNSEEN in slices:
        metrics[f"test_{score}_unseen_groups"] = slices[UNSEEN][score]
        if SEEN in slices:
            metrics[f"{score}_seen_groups"] = slices[SEEN][score]
    if fairness.pairs:
        metrics["group_difference"] = max(pair.difference for pair in fairness.pairs)
    pairs = {
        f"pair={pair.higher}, {pair.lower}": {
            "rows": float(sum(pair.rows)),
            "difference": pair.difference,
            "difference_low": pair.low,
            "difference_high": pair.high,
        }
        for pair in fairness.pairs[:_PAIRS]
    }
    scores, weights = answers.judged.scores, answers.judged.weights
    mean = float(scores.sum() / (len(scores) if weights is None else weights.sum()))
    path = evaluated.folder / "groups.png"
    draw = partial(draw_groups, slices, score, mean, path)
    return Look(metrics, slices | pairs, different(answers, parts, score), [draw])


def _parts(groups: list[str], train: Collection[str]) -> dict[str, Flags]:
    """The rows of the largest groups, and those in and not in train, by slice."""
    if not any(groups):
        return {}
    names = np.array(groups, object)
    is_seen = np.array([group in train for group in groups], bool)
    rows = {SEEN: is_seen, UNSEEN: ~is_seen}
    for group, _ in Counter(groups).most_common(_SHOWN):
        rows[f"group={group}"] = np.asarray(names == group, bool)
    return {name: mine for name, mine in rows.items() if mine.any()}


def group_slices(
    answers: AnsweredSplit, parts: Mapping[str, Flags], confidence: float
) -> dict[str, Metrics]:
    """The score of each part of the test rows.

    Args:
        answers: with the score of each row.
        parts: of the rows, bool ``(n,)``, by the name of the slice.
        confidence: of the intervals.

    Returns:
        where answers have a confidence, its mean is ``confidence``, and ``right`` is
        the share of right answers.
    """
    judged = answers.judged
    scores, weights, certain = judged.scores, judged.weights, judged.certainty

    def summary(mine: Flags) -> Metrics:
        own = None if weights is None else weights[mine]
        whole = judged.judge.summary(scores[mine], confidence, own)
        if certain is not None:
            whole["confidence"] = float(certain.promised[mine].mean())
            whole["right"] = float(certain.right[mine].mean())
        return {"rows": float(mine.sum()), **whole}

    return {name: summary(mine) for name, mine in parts.items()}


def different(
    answers: AnsweredSplit, parts: Mapping[str, Flags], score: str
) -> list[Finding]:
    """A finding where unseen groups differ from seen ones by more than chance.

    The interval takes all rows as independent. Rows of one group are alike, so that it
    only tells a difference from chance among rows, not from that among groups.
    """
    two = {n: np.flatnonzero(parts[n]) for n in (UNSEEN, SEEN) if n in parts}
    if len(two) < 2 or min(map(len, two.values())) < 2:
        return []
    groups = Groups.of(answers.judged.scores, two, answers.judged.weights)
    low, high = (ends[0, 1] for ends in groups.differences(_LEVEL))
    if not (low > 0 or high < 0):
        return []
    (unseen, seen), (rows, others) = groups.rates.tolist(), groups.rows.astype(int)
    message = (
        f"{score.replace('_', ' ')} is {as_score(unseen)} on groups that are not in "
        f"train ({rows:,} rows) and {as_score(seen)} on those that are ({others:,} "
        f"rows): more than chance among rows explains (a difference of {low:.2g} to "
        f"{high:.2g} at {1 - _LEVEL:.0%}); single groups may differ as much"
    )
    check, count = "unseen_groups", int(rows)
    return [Finding(check=check, split="test", count=count, message=message)]


def draw_groups(
    slices: Mapping[str, Metrics], score: str, mean: float, path: Path
) -> None:
    """Draw the score of each group with its interval, and that of all rows.

    Args:
        slices: of the evaluation, those of groups ``group=NAME``.
        score: the name of the score.
        mean: the score of all rows.
        path: of the PNG. Nothing is drawn without groups.
    """
    groups = {
        name.removeprefix("group="): numbers
        for name, numbers in slices.items()
        if name.startswith("group=")
    }
    if len(groups) < 2:
        return
    order = sorted(groups, key=lambda name: groups[name][score])[:_DRAWN]
    rates = np.array([groups[name][score] for name in order])
    ends = np.array(
        [[groups[name][f"{score}_{end}"] for name in order] for end in ("low", "high")]
    )
    rows = np.array([groups[name]["rows"] for name in order])
    figure = new_figure(7, 1.2 + 0.28 * len(order))
    axes = figure.subplots()
    reach = np.abs(np.nan_to_num(ends - rates))
    axes.errorbar(rates, range(len(order)), xerr=reach, fmt="o", color=INK, capsize=3)
    axes.axvline(mean, color=ACCENT, lw=1, label="all rows")
    labels = [f"{name} ({n:,.0f})" for name, n in zip(order, rows, strict=True)]
    axes.set_yticks(range(len(order)), labels)
    axes.set_ylim(-0.6, len(order) - 0.4)
    axes.set(xlabel=score.replace("_", " "), title="test split, by group (rows)")
    axes.grid(alpha=0.3, axis="x")
    axes.legend(fontsize=8)
    save(figure, path)
