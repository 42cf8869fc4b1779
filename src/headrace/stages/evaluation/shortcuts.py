"""Test rows whose class a mark gives away, without that mark.

The marks are those of a sample of train. What covers them is drawn from its items of
other classes, by the same seed in each evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from headrace.data.snapshots.rows import first_rows
from headrace.gates.rows import MarkedRows, RungRows, Shortcuts
from headrace.media import medium
from headrace.media.forms import Payload
from headrace.records import DataDescription, Metrics
from headrace.stages.evaluation.parts import EvaluatedModel, Look
from headrace.stages.evaluation.robustness import ask_items, item_blocks, joined_rows
from headrace.tasks import asks_items, task
from headrace.tasks.forms import Split, Targets, per_weight

SEED = 0
SAMPLE_ROWS = 2_000
SAMPLE_BYTES = 2**28


class Sample(NamedTuple):
    """Some rows of train, and the marks in them.

    Attributes:
        items: ``(n, *shape)``.
        targets: ``(n,)``.
        marks: what marks the items of a class, by its target.
    """

    items: Payload
    targets: Targets
    marks: Mapping[Any, Payload]


def find_marks(train: Split, data: DataDescription) -> Sample | None:
    """Look for marks in a sample of train.

    Returns:
        None where the medium knows no marks, or the task no classes.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
    module = medium(data.medium)
    if not (module.FINDS_MARKS and asks_items(data) and len(train)):
        return None
    items, targets, size = [], [], 0
    for part in first_rows(train, SAMPLE_ROWS):
        items.append(part.items)
        targets.append(part.targets)
        size += part.items.nbytes
        if size > SAMPLE_BYTES:
            break
    answers = np.concatenate(targets)
    if answers.ndim > 1:
        return None
    payload = np.concatenate(items)
    return Sample(payload, answers, module.marks(payload, answers))


def label_of(target: Any, data: DataDescription) -> str:
    """A target as its label is written."""
    classes = data.target.get("classes")
    return str(classes[int(target)]) if classes else f"{target:g}"


def cover_marks(evaluated: EvaluatedModel) -> Look:
    """Ask the model about the test rows of each marked class, without its mark.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
    sample = find_marks(evaluated.context.train, evaluated.context.data)
    if sample is None:
        return Look()
    marked = [_cover(evaluated, sample, target) for target in sample.marks]
    higher = task(evaluated.context.data.task).higher_is_better
    rows = {"shortcuts": Shortcuts(marked, higher)}
    return Look(slices=_slices_of(marked, evaluated.score), rows=rows)


def _cover(evaluated: EvaluatedModel, sample: Sample, target: Any) -> MarkedRows:
    context, answers, judge = evaluated.context, evaluated.answers, evaluated.judge
    data, module = context.data, medium(context.data.medium)
    rows = np.flatnonzero(evaluated.once & (answers.judged.targets == target))
    others = sample.items[sample.targets != target]
    random, parts = np.random.default_rng(SEED), []
    for items, chosen in item_blocks(context, rows):
        drawn = others[random.integers(0, len(others), len(items))]
        covered = module.cover(items, sample.marks[target], drawn)
        own = answers.judged.targets[chosen]
        parts.append(ask_items(context.model, covered, own, judge, data))
    weights = None if answers.judged.weights is None else answers.judged.weights[rows]
    clean = RungRows("", 0.0, answers.judged.scores[rows], weights, None)
    covered_rows = joined_rows("covered", 0.0, parts) if parts else clean
    return MarkedRows(label_of(target, data), clean, covered_rows)


def _slices_of(marked: Sequence[MarkedRows], score: str) -> dict[str, Metrics]:
    """The figures of each marked class, by name."""
    return {
        f"mark={one.label}": {
            "rows": float(len(one.clean.scores)),
            score: _mean(one.clean),
            "covered": _mean(one.covered),
        }
        for one in marked
        if len(one.clean.scores)
    }


def _mean(rung: RungRows) -> float:
    return float(per_weight(rung.scores, rung.weights).mean())
