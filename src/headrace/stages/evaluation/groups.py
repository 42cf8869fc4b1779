"""The groups of an evaluation compared with each other, as numbers and as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from headrace.display.pictures import ACCENT, INK, new_figure, save
from headrace.gates.fairness import compare_groups
from headrace.gates.rows import JudgedRows
from headrace.records import Metrics
from headrace.stages.evaluation.parts import EvaluatedModel, Look

_PAIRS = 20
_DRAWN = 50


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
    )


def compare(
    rows: JudgedRows, by_group: Mapping[str, Metrics], evaluated: EvaluatedModel
) -> Look:
    """The largest difference of groups, and the pairs that differ most.

    Args:
        rows: of the test split.
        by_group: the score of each group, from `group_slices`.
        evaluated: the evaluation.

    Returns:
        ``group_difference`` of the score, and slices ``pair=HIGHER, LOWER``; neither
        with fewer than two groups of enough rows.
    """
    scores, weights = evaluated.answers.judged.scores, evaluated.answers.judged.weights
    mean = float(scores.sum() / (len(scores) if weights is None else weights.sum()))
    path = evaluated.folder / "groups.png"
    drawings = [partial(draw_groups, by_group, evaluated.score, mean, path)]
    confidence = evaluated.context.spec.evaluation.confidence
    fairness = compare_groups(
        rows.scores, rows.groups, rows.weights, confidence=confidence
    )
    if not fairness.pairs:
        return Look(drawings=drawings)
    metrics = {"group_difference": max(pair.difference for pair in fairness.pairs)}
    pairs = {
        f"pair={pair.higher}, {pair.lower}": {
            "rows": float(sum(pair.rows)),
            "difference": pair.difference,
            "difference_low": pair.low,
            "difference_high": pair.high,
        }
        for pair in fairness.pairs[:_PAIRS]
    }
    return Look(metrics, pairs, drawings=drawings)


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
