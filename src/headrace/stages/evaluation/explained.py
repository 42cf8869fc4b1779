"""Explanations of one evaluation: their check, and what decided some answers."""

from __future__ import annotations

from functools import partial

import numpy as np

from headrace.explanations import Item, occlude, verdict_of, why_not
from headrace.explanations.check import MOST_ITEMS, check, checkable
from headrace.explanations.showing import ShownItem, draw_explanations
from headrace.media.forms import Payload
from headrace.models.logged import loading
from headrace.models.logged.halves import parts_of
from headrace.stages.evaluation.answers import EvaluatedModel, Look, items_at
from headrace.stages.evaluation.report import in_one_line
from headrace.stages.fitting.data import cut_of
from headrace.tasks import task

SHOWN = 6  # mistakes, and as many other items


def explain(evaluated: EvaluatedModel) -> Look:
    """Check the explanations of a model, and draw some where they have passed.

    Of a network that begins with frozen layers, only the rest gets random weights, and
    what the frozen layers give is computed once.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
    context = evaluated.context
    data, parts = context.data, parts_of(context.model)
    if why_not(data) or parts is None:
        return Look()
    first, network = parts
    cut = cut_of(network, context.spec.training)

    def given(items: Payload) -> Payload:
        """What the fitted part of the network takes."""
        inputs = loading.outputs(first, items)
        return inputs if cut is None else loading.outputs(cut[0], inputs)

    outputs = evaluated.answers.judged.outputs[: 2 * MOST_ITEMS]
    chosen = task(data.task).explained.chosen(outputs).tolist()
    stored = items_at(context.test, range(len(chosen)))
    pairs = zip(stored, chosen, strict=True)
    items = checkable(Item.of(item, answer, data) for item, answer in pairs)
    if not items:
        return Look()
    metrics, values = check(network if cut is None else cut[1], given, items, data)
    if verdict_of(metrics).status != "passed":
        return Look(metrics)
    words = task(data.task).explained.words
    shown = _mistakes(evaluated)
    places = {id(item): place for place, item in enumerate(stored)}
    for item, own in zip(items[:SHOWN], values, strict=False):
        answer = words(outputs[places[id(item.item)]], data)
        shown.append(ShownItem.of("test item", answer, item, own))
    draw = partial(draw_explanations, shown, data, evaluated.folder)
    return Look(metrics, drawings=[draw])


def _mistakes(evaluated: EvaluatedModel) -> list[ShownItem]:
    """What decided the worst answers."""
    data, worst = evaluated.context.data, evaluated.answers.worst
    outputs = worst.outputs[:SHOWN]
    if not len(outputs):
        return []
    chosen = task(data.task).explained.chosen(np.asarray(outputs)).tolist()
    pairs = zip(worst.items, chosen, strict=False)
    items = [Item.of(item, answer, data) for item, answer in pairs]
    words = in_one_line(evaluated.captions(outputs, worst.targets))
    values = occlude(partial(loading.answers, evaluated.context.model), items, data)
    every = zip(words, items, values, strict=True)
    return [ShownItem.of("mistake", *one) for one in every]
