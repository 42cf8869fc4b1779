"""The weak slices of one evaluation, from its data to its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from headrace.gates.paired_numbers import are_finite
from headrace.records import Finding
from headrace.stages.evaluation import report
from headrace.stages.evaluation.answers import (
    AnsweredSplit,
    EvaluatedModel,
    Look,
    ask,
    items_at,
)
from headrace.stages.evaluation.slices import (
    FEWEST,
    SliceRows,
    WeakSlice,
    confirm,
    find_slices,
    most_rows,
)
from headrace.tasks import task

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
    return _drawn(part, weak, evaluated) if weak else part


def _weak_slices(evaluated: EvaluatedModel) -> list[WeakSlice] | None:
    context, once, most = evaluated.context, evaluated.once, most_rows(evaluated.data)
    if not len(context.val):
        return None
    of_val = ask(context, context.val, {}, 0, evaluated.judge)
    rows = np.flatnonzero(once[:most])
    test, val = _rows(evaluated.answers, rows), _rows(of_val, np.arange(most))
    for part in (test, val):
        if len(part) < 2 * FEWEST or not are_finite(part.scores).all():
            return None
    level = 1 - context.spec.evaluation.confidence
    higher = task(evaluated.data.task).higher_is_better
    slices = find_slices(val, higher_is_better=higher)
    weak = confirm(slices, test, level, higher_is_better=higher)
    every = np.arange(len(once))
    return [replace(w, members=np.isin(every, rows[w.members])) for w in weak]


def _rows(answers: AnsweredSplit, rows: npt.NDArray[np.intp]) -> SliceRows:
    """Some of the first rows of a split, as slices are looked for among them."""
    judged = answers.judged
    rows = rows[: len(judged.scores)]
    columns = {name: values[rows] for name, values in answers.columns.items()}
    weights = None if judged.weights is None else judged.weights[rows]
    return SliceRows(columns, judged.scores[rows], weights)


def figures_of(weak: Sequence[WeakSlice] | None, score: str) -> Look:
    """Metrics, slices by name and a warning of the confirmed weak slices."""
    if weak is None:
        return Look()
    metrics = {
        "weak_slices": float(len(weak)),
        "weak_slice_loss": float(np.max([one.loss for one in weak], initial=0.0)),
    }
    if not weak:
        return Look(metrics)
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
    return Look(metrics, slices, [finding])


def _drawn(part: Look, weak: Sequence[WeakSlice], evaluated: EvaluatedModel) -> Look:
    """With the drawing of the worst answers to the first weak slices, if any."""
    judged, data = evaluated.answers.judged, evaluated.data
    badness = judged.badness
    names: list[str] = []
    rows: list[int] = []
    for one in weak[:_SHOWN]:
        members = np.flatnonzero(one.members & ~(badness <= 0))
        worst = members[np.argsort(-badness[members], kind="stable")[:_ROWS_SHOWN]]
        rows += worst.tolist()
        names += [one.name] * len(worst)
    if not rows:
        return part
    captions = evaluated.captions(judged.outputs[rows], judged.targets[rows])
    columns = {"slice": names, "answer": report.in_one_line(captions)}
    items = items_at(evaluated.context.test, rows)
    page, drawn = evaluated.folder / "weak_slices.html", captions[: report.PICTURED]
    show = partial(report.show, page, "Weak slices", columns, items, drawn, data)
    return part._replace(drawings=[show])
