"""The losses of the attacked rows, by a model and by reference models.

Each reference model is fitted to a half of the rows. Their losses are kept, so that
another version of the same recipe needs none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.data.snapshots.splits import read_split
from headrace.display.progress import Progress
from headrace.pipeline import TrainingSpec
from headrace.records import DataDescription
from headrace.stages.evaluation.membership.rows import REFERENCES, AttackedRows
from headrace.stages.fitting import Fit
from headrace.stages.fitting.data import TrainingData
from headrace.stages.fitting.features import FrozenAnswers
from headrace.stages.references import ReferenceRecipe, Weights, kept_or_made
from headrace.state.home import Home
from headrace.state.store import Store
from headrace.tasks import asked, task

_AT_ONCE = 1024
Losses = npt.NDArray[np.float64]


def losses_of(
    model: Any,
    rows: AttackedRows,
    data: DataDescription,
    training: TrainingSpec,
    home: Home | None = None,
) -> Losses | None:
    """The losses of the attacked rows ``(n,)``; None where answers show none.

    Args:
        model: a Keras model from raw questions to answers.
        rows: of the attack.
        data: of the snapshot.
        training: the recipe. Labels are not smoothed here.
        home: has the outputs of frozen layers.
    """
    head, answers = task(data.task).head, FrozenAnswers(model, asked(data).raw, home)
    plain = training.model_copy(update={"label_smoothing": 0.0})
    losses: list[Losses] = []
    for outputs, targets in answers.over(rows.attacked):
        for start in range(0, len(outputs), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            own = head.row_losses(model, outputs[some], targets[some], plain)
            if own is None:
                return None
            losses.append(own)
    return np.concatenate(losses)


def losses_of_references(
    recipe: ReferenceRecipe, rows: AttackedRows, store: Store
) -> Losses:
    """The losses of the attacked rows by each model, ``(n, REFERENCES)``.

    Args:
        recipe: of the attacked model; each reference model has a seed of its own.
        rows: of the attack.
        store: keeps the losses.

    Raises:
        Refusal: a training diverged, or a device is out of memory.
        IntegrityError: the snapshot is damaged.
        DependencyError: the store or the ledger failed.
    """
    names = [f"half {number} of the rows" for number in range(REFERENCES)]
    columns: list[Losses] = []

    def make(name: str) -> Weights:
        return [_fitted(recipe, rows, names.index(name))]

    with Progress("reference model", REFERENCES, is_listed=True) as progress:
        for _, (losses,), is_stored in kept_or_made(
            recipe.keys(names, __name__), make, store
        ):
            columns.append(losses)
            progress.update(len(columns), "kept" if is_stored else "trained")
    return np.stack(columns, axis=1)


def _fitted(recipe: ReferenceRecipe, rows: AttackedRows, number: int) -> Losses:
    snapshot, training = recipe.snapshot, recipe.spec.training
    val = read_split(snapshot, "val", recipe.contract.quarantine_uri)
    # A worker that evaluates need not have the devices of the training.
    own = {"seed": training.seed + 1 + number, "devices": 1}
    seeded = training.model_copy(update=own)
    spec = recipe.spec.model_copy(update={"training": seeded})
    data = TrainingData(snapshot.description, rows.half(number), val, home=recipe.home)
    fit = Fit(spec, recipe.folder, recipe.builder, data)
    model = fit.run(lambda _number, _metrics: None).model
    losses = losses_of(model, rows, snapshot.description, training, recipe.home)
    if losses is None:
        raise ValueError("the model that is attacked showed its losses")
    return losses
