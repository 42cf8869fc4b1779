"""The groups of an evaluation compared with each other, as numbers and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from headrace.gates.fairness import (
    compare_groups,
    group_difference,
    group_ratio,
)
from headrace.gates.rows import JudgedRows, WeakSlice
from headrace.media.forms import Flags
from headrace.pictures import ACCENT, INK, new_figure, save
from headrace.records import DataDescription, Metrics
from headrace.stages.evaluation.answers import Answers
from headrace.stages.evaluation.items import Items
from headrace.tasks import Judge, task

_PAIRS = 20
_DRAWN = 50


def items_once(items: Items, groups: list[str]) -> Flags:
    """Which rows are the first of their item in their group, bool ``(n,)``."""
    index: dict[str, int] = {}
    codes = [index.setdefault(group, len(index)) for group in groups]
    both = np.empty(len(items), [("item", items.dtype), ("group", np.int64)])
    both["item"], both["group"] = items, codes
    once = np.zeros(len(items), bool)
    once[np.unique(both, return_index=True)[1]] = True
    return once


def judged_rows(
    answers: Answers,
    once: Flags,
    judge: Judge,
    data: DataDescription,
    weak: Sequence[WeakSlice] | None,
) -> JudgedRows:
    """The rows of test as gates compare them.

    Args:
        answers: of the model.
        once: the rows that count, bool ``(n,)``.
        judge: of the answers.
        data: of the snapshot.
        weak: the weak slices of the evaluation; None where none were looked for.
    """
    places = np.flatnonzero(once)
    return JudgedRows(
        score=task(data.task).score,
        scores=answers.scores[once],
        weights=None if answers.weights is None else answers.weights[once],
        groups=[answers.groups[place] for place in places],
        rate=lambda name: judge.rate(
            name, answers.outputs[once], answers.targets[once], data
        ),
        weak_slices=weak,
    )


def compared(rows: JudgedRows, confidence: float) -> tuple[Metrics, dict[str, Metrics]]:
    """The largest difference and ratio of groups, and the pairs that differ most.

    Args:
        rows: of the test split.
        confidence: of the intervals of all pairs together.

    Returns:
        ``group_difference`` and ``group_ratio`` of the score, and slices
        ``pair=HIGHER, LOWER``; nothing with fewer than two groups of enough rows.
    """
    if not any(rows.groups):
        return {}, {}
    found = compare_groups(
        rows.scores, rows.groups, rows.weights, confidence=confidence
    )
    if not found.count:
        return {}, {}
    rates = found.groups.rates.tolist()
    metrics = {
        "group_difference": group_difference(rates),
        "group_ratio": group_ratio(rates),
    }
    pairs = {
        f"pair={pair.higher}, {pair.lower}": {
            "rows": float(sum(pair.rows)),
            "difference": pair.difference,
            "difference_low": pair.low,
            "difference_high": pair.high,
        }
        for pair in found.pairs(_PAIRS)
    }
    return metrics, pairs


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
