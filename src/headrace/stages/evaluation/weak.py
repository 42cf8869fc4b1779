"""The weak slices of one evaluation, from its data to its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from headrace.gates.far import also_without_far
from headrace.gates.kinds.weak_slice import describe
from headrace.gates.paired import are_finite
from headrace.gates.rows import WeakSlice
from headrace.media.forms import Columns, Flags
from headrace.models.logged import loading
from headrace.records import Finding, Metrics
from headrace.stages.evaluation.answers import Answers, items_at
from headrace.stages.evaluation.slices.conditions import columns_of, joined, most_rows
from headrace.stages.evaluation.slices.search import (
    FEWEST,
    SliceRows,
    confirm,
    find_slices,
)
from headrace.tasks import Judge, asked, task
from headrace.tasks.forms import Context, Outputs, Scores, Split, Targets

_SHOWN, _ROWS_SHOWN = 3, 8


def weak_slices(
    context: Context, answers: Answers, once: Flags, judge: Judge
) -> list[WeakSlice] | None:
    """Find weak slices on val, and confirm them on test.

    Args:
        context: the model and its data; `most_rows` of val and of test are looked at.
            ``evaluation.confidence`` is 1 minus the chance that any slice is confirmed
            where none is weak.
        answers: of the model to test.
        once: the rows of test that count, bool ``(n,)``: one of each item.
        judge: of the answers.

    Returns:
        the confirmed ones, the surest first, whose ``members`` are of all rows of test;
        None with too few rows, or scores that are not finite.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
    rows = np.flatnonzero(once[: most_rows(context.data)])
    columns = {name: values[rows] for name, values in answers.columns.items()}
    weights = None if answers.weights is None else answers.weights[rows]
    of_test = SliceRows(columns, answers.scores[rows], weights)
    of_val = _rows_of(context, judge)
    if of_val is None or not (_is_enough(of_test) and _is_enough(of_val)):
        return None
    level = 1 - context.spec.evaluation.confidence
    higher = task(context.data.task).higher_is_better
    found = confirmed(of_val, of_test, level, higher_is_better=higher)
    return [_of_all(one, rows, len(once)) for one in found]


def confirmed(
    of_val: SliceRows, of_test: SliceRows, level: float, *, higher_is_better: bool
) -> list[WeakSlice]:
    """The slices that are found on val and shown on test, the surest first.

    They are looked for without far scores, too, which hide them; see
    `headrace.gates.far`.

    Args:
        of_val, of_test: with finite scores.
        level: the chance that any is confirmed where none is weak.
        higher_is_better: of the scores.
    """
    val, test = also_without_far(of_val.scores), also_without_far(of_test.scores)
    pairs = [(val[0], test[0])]
    if len(val) + len(test) > 2:
        pairs.append((val[-1], test[-1]))
    found: dict[str, WeakSlice] = {}
    for scores, own in pairs[::-1]:
        with np.errstate(over="ignore", invalid="ignore"):  # of far scores
            slices = find_slices(
                replace(of_val, scores=scores), higher_is_better=higher_is_better
            )
        rows, part = replace(of_test, scores=own), level / len(pairs)
        shown = confirm(slices, rows, part, higher_is_better=higher_is_better)
        found = {one.name: one for one in shown} | found
    return [*found.values()]


def _is_enough(rows: SliceRows) -> bool:
    return len(rows) >= 2 * FEWEST and bool(are_finite(rows.scores).all())


def _of_all(one: WeakSlice, rows: npt.NDArray[np.intp], count: int) -> WeakSlice:
    members = np.zeros(count, bool)
    members[rows[one.members]] = True
    return replace(one, members=members)


def _rows_of(context: Context, judge: Judge) -> SliceRows | None:
    """Columns and scores of the first rows of val; None where it has none."""
    data, val, left = context.data, context.val, most_rows(context.data)
    columns: list[Columns] = []
    scores: list[Scores] = []
    weights: list[Scores] = []
    for part in val:
        raw = asked(data).raw(part.questions[:left])
        outputs, targets = loading.answers(context.model, raw), part.targets[:left]
        columns.append(columns_of(part.items[:left], part.groups[:left], data))
        scores.append(judge.scores(outputs, targets))
        own = judge.weights(outputs, targets)
        weights += [] if own is None else [own]
        left -= len(targets)
        if not left:
            break
    if not scores:
        return None
    every = np.concatenate(weights) if weights else None
    return SliceRows(joined(columns), np.concatenate(scores), every)


def figures_of(
    weak: Sequence[WeakSlice] | None, score: str
) -> tuple[Metrics, dict[str, Metrics], list[Finding]]:
    """Metrics, slices by name and a warning of the confirmed weak slices."""
    if weak is None:
        return {}, {}, []
    metrics = {
        "weak_slices": float(len(weak)),
        "weak_slice_loss": max((one.loss for one in weak), default=0.0),
    }
    if not weak:
        return metrics, {}, []
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
    message = f"{describe(weak[0], score)}{more * (count > 0)}"
    finding = Finding(
        check="weak_slice", split="test", count=weak[0].rows, message=message
    )
    return metrics, slices, [finding]


class Sample(NamedTuple):
    """Bad answers to the rows of weak slices.

    Attributes:
        slices: the name of each row's slice.
        items: of the rows, each of ``shape``.
        targets, outputs: ``(k, ...)``.
    """

    slices: list[str]
    items: list[npt.NDArray[Any]]
    targets: Targets
    outputs: Outputs


def sample(
    weak: Sequence[WeakSlice], answers: Answers, test: Split, judge: Judge
) -> Sample:
    """The worst answers to the first weak slices, of which there is one at least.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
    badness = judge.badness(answers.outputs, answers.targets)
    names: list[str] = []
    rows: list[int] = []
    for one in weak[:_SHOWN]:
        members = np.flatnonzero(one.members & ~(badness <= 0))
        worst = members[np.argsort(-badness[members], kind="stable")[:_ROWS_SHOWN]]
        rows += worst.tolist()
        names += [one.name] * len(worst)
    items = items_at(test, rows)
    return Sample(names, items, answers.targets[rows], answers.outputs[rows])
