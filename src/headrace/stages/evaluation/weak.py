"""The weak slices of one evaluation, from its data to its report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from headrace.data.snapshots.rows import first_rows
from headrace.gates.paired_numbers import are_finite
from headrace.gates.rows import WeakSlice
from headrace.media.forms import Columns
from headrace.models.logged import loading
from headrace.records import Finding
from headrace.stages.evaluation import report
from headrace.stages.evaluation.answers import items_at
from headrace.stages.evaluation.parts import EvaluatedModel, Look
from headrace.stages.evaluation.slices.conditions import columns_of, joined, most_rows
from headrace.stages.evaluation.slices.search import (
    FEWEST,
    SliceRows,
    confirm,
    find_slices,
)
from headrace.tasks import Judge, asked, task
from headrace.tasks.forms import Context, Scores

_SHOWN, _ROWS_SHOWN = 3, 8


def look_for(evaluated: EvaluatedModel) -> Look:
    """Find weak slices on val, and confirm them on test.

    At most `most_rows` of val and of test are looked at. ``evaluation.confidence`` is 1
    minus the chance that any slice is confirmed where none is weak. The slices for
    gates are the surest first, with ``members`` of all rows of test; None with too
    few rows, or scores that are not finite.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
    weak = _weak_slices(evaluated)
    part = figures_of(weak, evaluated.score)
    drawn = _drawing(weak or (), evaluated)
    return part._replace(drawings=[drawn] if drawn else [])


def _weak_slices(evaluated: EvaluatedModel) -> list[WeakSlice] | None:
    context, answers, once = evaluated.context, evaluated.answers, evaluated.once
    rows = np.flatnonzero(once[: most_rows(context.data)])
    columns = {name: values[rows] for name, values in answers.columns.items()}
    weights = None if answers.judged.weights is None else answers.judged.weights[rows]
    of_test = SliceRows(columns, answers.judged.scores[rows], weights)
    of_val = _rows_of(context, evaluated.judge)
    if of_val is None or not (_is_enough(of_test) and _is_enough(of_val)):
        return None
    level = 1 - context.spec.evaluation.confidence
    higher = task(context.data.task).higher_is_better
    found = find_slices(of_val, higher_is_better=higher)
    slices = confirm(found, of_test, level, higher_is_better=higher)
    return [_of_all(one, rows, len(once)) for one in slices]


def _is_enough(rows: SliceRows) -> bool:
    return len(rows) >= 2 * FEWEST and bool(are_finite(rows.scores).all())


def _of_all(one: WeakSlice, rows: npt.NDArray[np.intp], count: int) -> WeakSlice:
    members = np.zeros(count, bool)
    members[rows[one.members]] = True
    return replace(one, members=members)


def _rows_of(context: Context, judge: Judge) -> SliceRows | None:
    """Columns and scores of the first rows of val; None where it has none."""
    data = context.data
    columns: list[Columns] = []
    scores: list[Scores] = []
    weights: list[Scores] = []
    for part in first_rows(context.val, most_rows(data)):
        outputs = loading.answers(context.model, asked(data).raw(part.questions))
        columns.append(columns_of(part.items, part.groups, data))
        judged = judge.judged(outputs, part.targets, data)
        scores.append(judged.scores)
        weights += [] if judged.weights is None else [judged.weights]
    if not scores:
        return None
    every = np.concatenate(weights) if weights else None
    return SliceRows(joined(columns), np.concatenate(scores), every)


def figures_of(weak: Sequence[WeakSlice] | None, score: str) -> Look:
    """Metrics, slices by name and a warning of the confirmed weak slices."""
    rows = {"weak_slices": weak}
    if weak is None:
        return Look(rows=rows)
    metrics = {
        "weak_slices": float(len(weak)),
        "weak_slice_loss": max((one.loss for one in weak), default=0.0),
    }
    if not weak:
        return Look(metrics, rows=rows)
    slices = {
        f"weak_slice={one.name}": {
            "rows": float(one.rows),
            score: one.score,
            "rest": one.rest,
            "loss": one.loss,
            "p_value": one.p_value,
        }
        for one in weak
    }
    count = len(weak) - 1
    more = f"; {count:,} more {'slices are' if count > 1 else 'slice is'} weak"
    message = f"{weak[0].in_words(score)}{more * (count > 0)}"
    finding = Finding(
        check="weak_slice", split="test", count=weak[0].rows, message=message
    )
    return Look(metrics, slices, [finding], rows=rows)


def _drawing(
    weak: Sequence[WeakSlice], evaluated: EvaluatedModel
) -> Callable[[], None] | None:
    """What draws and lists the worst answers to the first weak slices, if any."""
    judged, data = evaluated.answers.judged, evaluated.context.data
    badness = judged.badness
    names: list[str] = []
    rows: list[int] = []
    for one in weak[:_SHOWN]:
        members = np.flatnonzero(one.members & ~(badness <= 0))
        worst = members[np.argsort(-badness[members], kind="stable")[:_ROWS_SHOWN]]
        rows += worst.tolist()
        names += [one.name] * len(worst)
    if not rows:
        return None
    captions = evaluated.captions(judged.outputs[rows], judged.targets[rows])
    columns = {"slice": names, "answer": report.in_one_line(captions)}
    items, page = (
        items_at(evaluated.context.test, rows),
        evaluated.folder / "weak_slices.html",
    )
    drawn = captions[: report.PICTURED]
    return partial(report.show, page, "Weak slices", columns, items, drawn, data)
