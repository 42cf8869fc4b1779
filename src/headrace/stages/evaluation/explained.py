"""Explanations of one evaluation: their sanity check, and maps of chosen test rows."""

from __future__ import annotations

import functools
import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.errors import IntegrityError, Refusal, UsageError
from headrace.explanations import METHODS, Explainer, Item, verdict_of, why_not
from headrace.explanations.parts import strongest
from headrace.explanations.places import Map
from headrace.explanations.sanity import check_sanity
from headrace.explanations.showing import ShownItem, draw_explanations
from headrace.explanations.verdict import PRIVATE
from headrace.models import builder_name
from headrace.pipeline import PipelineSpec
from headrace.records import DataDescription, Metrics
from headrace.stages.evaluation.answers import items_at
from headrace.stages.evaluation.parts import EvaluatedModel, Look, Trained
from headrace.stages.evaluation.report import in_one_line
from headrace.stages.fitting.data import cut_of
from headrace.stages.ingredients import TAG, restore
from headrace.stages.references import ReferenceRecipe, Weights, kept_or_made
from headrace.stages.references.seeds_and_labels import OTHERS, fit_seed_and_labels
from headrace.stages.size import SMALL, size_of
from headrace.state.home import Home
from headrace.tasks import Judged, task
from headrace.tasks.forms import Context

CHECKED, _FEWEST_CHECKED = 24, 8  # test items
_CHECKED_BYTES = 2**25
_PIECES = 400  # of the checked items of a network with frozen layers, together
MISTAKES, TYPICAL = 6, 10  # items that are shown
# Of the epochs, where the training is small; digits had 0.57 after two of ten, in
# place of 0.74, for the likeness with another seed.
_SHARE, _FEWEST_EPOCHS = 4, 3
_RANGES = 5
log = logging.getLogger("headrace")


def are_wanted(spec: PipelineSpec) -> bool:
    """Whether the explanations of a model are checked before the verdict on it."""
    named = [n for g in spec.gates for n in (g.metric, g.arguments.get("to", ""))]
    own = tuple(f"{method}_" for method in METHODS)
    is_judged = any(str(name).startswith(own) for name in named)
    return spec.evaluation.depth == "full" or is_judged


def explain_if_possible(
    evaluated: EvaluatedModel, trained: Trained, home: Home
) -> Look:
    """The same as `explain`; nothing, and a warning, where it cannot be done."""
    try:
        return explain(evaluated, trained, home)
    except IntegrityError:
        raise
    except (Refusal, UsageError) as error:  # also where the run has no such record
        log.warning("evaluate: explanations are not checked: %s", error)
        return Look()


def explain(evaluated: EvaluatedModel, trained: Trained, home: Home) -> Look:
    """Check the explanations of a model, and explain chosen answers.

    Two reference models are fitted for the check, once for each recipe and snapshot.

    Args:
        evaluated: the evaluation.
        trained: the records of the model.

    Raises:
        Refusal: the answers of the model are not explained, or a training diverged.
        UsageError: the run has no record of the pipeline's own code.
        IntegrityError: the snapshot, or the record of the training, is damaged.
        DependencyError: the store, the ledger or MLflow failed.
    """
    context, answers = evaluated.context, evaluated.answers
    spec, data = context.spec, context.data
    if reason := PRIVATE if spec.training.privacy else why_not(data):
        raise Refusal(f"{reason}.")
    explainer = Explainer(context.model, data)
    if explainer.network is None:
        raise Refusal(f"the model is not explained: {explainer.no_gradients}.")
    chosen = task(data.task).explained.chosen(answers.judged.outputs)
    rows = list(range(min(_checked(data), len(chosen))))
    sample = [
        Item.of(item, int(chosen[row]), data)
        for row, item in zip(rows, items_at(context.test, rows), strict=True)
    ]
    if cut := cut_of(explainer.network, spec.training):
        explainer.freeze(*cut)
        sample = _with_few_pieces(sample)
    epochs = spec.training.epochs
    is_small = size_of(trained.training, len(trained.train), epochs) <= SMALL
    if is_small and spec.evaluation.depth != "full":
        epochs = min(epochs, max(_FEWEST_EPOCHS, -(-epochs // _SHARE)))
    others = _references(context, trained, epochs, home)
    metrics = check_sanity(explainer, sample, others)
    shown = _explain_chosen(explainer, evaluated, metrics)
    if not shown:
        return Look(metrics)
    draw = functools.partial(draw_explanations, shown, data, evaluated.folder)
    return Look(metrics, drawings=[draw])


def _checked(data: DataDescription) -> int:
    size = int(np.prod(data.shape)) * 4
    return max(_FEWEST_CHECKED, min(CHECKED, _CHECKED_BYTES // size))


def _with_few_pieces(sample: list[Item]) -> list[Item]:
    """Of a sample, what a large network answers in seconds without each piece."""
    pieces = np.cumsum([len(item.pieces.names) for item in sample])
    fits = int((pieces <= _PIECES).sum())
    return sample[: max(_FEWEST_CHECKED, fits)]


def _references(
    context: Context, trained: Trained, epochs: int, home: Home
) -> dict[str, Weights]:
    """The weights of reference models; the pipeline's own code is from the run."""
    tracking, training, spec = home.tracking, trained.training, context.spec
    builder = builder_name(spec)
    with tempfile.TemporaryDirectory(prefix="headrace-") as place:
        folder = Path(place)
        if not builder.isidentifier() or spec.training.own_functions:
            tag = tracking.find_run(training.run_id).tags.get(TAG, "")
            if not tag:
                raise UsageError(
                    f"MLflow's run {training.run_id} has no tag {TAG}, so that the "
                    "pipeline's own code is not known.",
                    f"Put the tag back with `headrace verify {spec.name} --repair`.",
                )
            read = functools.partial(tracking.run_file, training.run_id)
            folder = restore(folder, tag, read).folder
        recipe = ReferenceRecipe(
            spec, builder, folder, trained.snapshot, trained.contract, home
        )

        @functools.cache
        def made() -> dict[str, Weights]:
            log.info("evaluate: fitting two reference models to check the explanations")
            return fit_seed_and_labels(recipe, epochs)

        def make(variation: str) -> Weights:
            return made()[variation.partition(",")[0]]

        keys = recipe.keys([f"{name}, {epochs} epochs" for name in OTHERS])
        weights = [w for _, w, _ in kept_or_made(keys, make, home.store)]
    return dict(zip(OTHERS, weights, strict=True))


def _explain_chosen(
    explainer: Explainer, evaluated: EvaluatedModel, metrics: Metrics
) -> list[ShownItem]:
    """The maps of chosen rows by the methods that have passed."""
    methods = [
        method
        for method in explainer.methods
        if verdict_of(metrics, method).status == "passed"
    ]
    if not methods:
        return []
    data, answers, worst = (
        evaluated.context.data,
        evaluated.answers,
        evaluated.answers.worst,
    )
    explained, typical = (
        task(data.task).explained,
        typical_rows(answers.judged),
    )
    outputs = [*worst.outputs[:MISTAKES], *answers.judged.outputs[typical]]
    stored = [*worst.items[:MISTAKES], *items_at(evaluated.context.test, typical)]
    if not stored:
        return []
    words = in_one_line(evaluated.captions(outputs, worst.targets[:MISTAKES]))
    names = ["mistake"] * len(words) + ["typical"] * len(typical)
    words += [explained.words(answers.judged.outputs[row], data) for row in typical]
    chosen = explained.chosen(np.stack(outputs)).tolist()
    items = [Item.of(x, c, data) for x, c in zip(stored, chosen, strict=True)]
    maps: dict[str, list[Map]] = {m: explainer.maps(items, m) for m in methods}
    return [
        ShownItem(
            name=names[row],
            answer=words[row],
            item=item.item,
            maps={METHODS[method]: maps[method][row].values for method in methods},
            parts=strongest(maps[methods[-1]][row], item.pieces),
        )
        for row, item in enumerate(items)
    ]


def typical_rows(judged: Judged) -> list[int]:
    """A typical row of each answer: right, and of the middle confidence of those.

    Where answers are numbers, these are rows of a middle error in each range of them.
    """
    badness = judged.badness
    choices = judged.judge.choices(judged.outputs)
    if choices is None:
        numbers = judged.outputs.reshape(len(badness), -1)[:, 0]
        order = np.argsort(numbers, kind="stable")
        parts = np.array_split(order, min(_RANGES, len(order)))
        return [_middle(rows, badness) for rows in parts]
    sure = np.asarray(judged.outputs.max(axis=1))
    groups = [
        np.flatnonzero((choices == choice) & (badness <= 0))
        for choice in np.unique(choices)[:TYPICAL]
    ]
    return [_middle(rows, sure) for rows in groups if len(rows)]


def _middle(rows: npt.NDArray[np.intp], values: npt.NDArray[Any]) -> int:
    order = rows[np.argsort(values[rows], kind="stable")]
    return int(order[len(order) // 2])
