"""What the scores of test rows show beside their mean: groups, slices, a ladder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from headrace.gates.rows import JudgedRows
from headrace.records import Finding, Metrics
from headrace.stages.evaluation.answers import Answers
from headrace.stages.evaluation.groups import (
    compared,
    draw_groups,
    items_once,
    judged_rows,
)
from headrace.stages.evaluation.report import draw_weak
from headrace.stages.evaluation.robustness import climb
from headrace.stages.evaluation.weak import figures_of, sample, weak_slices
from headrace.tasks import Judge, task
from headrace.tasks.forms import Context


class Details(NamedTuple):
    """Groups, weak slices and the robustness ladder of one evaluation.

    Attributes:
        rows: of test, as gates compare them.
        metrics: of the test split.
        slices: pairs of groups, weak slices and rungs, by name.
        findings: warnings.
        drawings: what draws the pictures; each is called without arguments.
    """

    rows: JudgedRows
    metrics: Metrics
    slices: dict[str, Metrics]
    findings: list[Finding]
    drawings: Sequence[Callable[[], None]]


def details_of(
    context: Context,
    answers: Answers,
    by_group: dict[str, Metrics],
    judge: Judge,
    folder: Path,
) -> Details:
    """As `look_closer`, and ask the model about shifted rows."""
    closer = look_closer(context, answers, by_group, judge, folder)
    ladder = climb(context, answers, judge, folder)
    return Details(
        replace(closer.rows, robustness=ladder.rows),
        closer.metrics | ladder.metrics,
        closer.slices | ladder.slices,
        closer.findings,
        [*closer.drawings, *ladder.drawings],
    )


def look_closer(
    context: Context,
    answers: Answers,
    by_group: dict[str, Metrics],
    judge: Judge,
    folder: Path,
) -> Details:
    """Compare the groups, and look for weak slices.

    Args:
        context: the model and its data.
        answers: of the model to test.
        by_group: the score of each group, from `group_slices`.
        judge: of the answers.
        folder: of the pictures.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
    data, score = context.data, task(context.data.task).score
    once = items_once(context.test.items(), answers.groups)
    weak = weak_slices(context, answers, once, judge)
    rows = judged_rows(answers, once, judge, data, weak)
    metrics, slices = compared(rows, context.spec.evaluation.confidence)
    of_weak, weak_by_name, findings = figures_of(weak, score)
    scores, weights = answers.scores, answers.weights
    mean = float(scores.sum() / (len(scores) if weights is None else weights.sum()))
    drawings = [partial(draw_groups, by_group, score, mean, folder / "groups.png")]
    if weak and (shown := sample(weak, answers, context.test, judge)).items:
        drawings.append(partial(draw_weak, shown, data, folder, judge))
    return Details(rows, metrics | of_weak, slices | weak_by_name, findings, drawings)
