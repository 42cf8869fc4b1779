"""What the scores of test rows show beside their mean: groups and weak slices."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

from headrace.gates.rows import JudgedRows
from headrace.records import Metrics
from headrace.stages.evaluation.answers import Answers
from headrace.stages.evaluation.groups import (
    compared,
    draw_groups,
    items_once,
    judged_rows,
)
from headrace.stages.evaluation.parts import Part
from headrace.stages.evaluation.report import draw_weak
from headrace.stages.evaluation.weak import figures_of, sample, weak_slices
from headrace.tasks import Judge, task
from headrace.tasks.forms import Context


class Details(NamedTuple):
    """Groups and weak slices of one evaluation.

    Attributes:
        rows: of test, as gates compare them.
        part: its slices are groups, pairs of groups and weak slices.
    """

    rows: JudgedRows
    part: Part


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
    part = Part(metrics | of_weak, slices | weak_by_name, findings, drawings)
    return Details(rows, part)
