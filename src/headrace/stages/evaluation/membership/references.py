"""Reference models, each fitted to a half of the rows; their losses are kept.

Another version of the same recipe needs none.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from headrace.data.snapshots.splits import read_split
from headrace.display.progress import Progress
from headrace.stages.evaluation.membership.losses import losses_of
from headrace.stages.evaluation.membership.rows import REFERENCES, AttackedRows
from headrace.stages.fitting import Fit
from headrace.stages.fitting.data import TrainingData
from headrace.stages.references import ReferenceRecipe, Weights, kept_or_made
from headrace.state.store import Store


def losses_of_references(
    recipe: ReferenceRecipe, rows: AttackedRows, store: Store
) -> npt.NDArray[np.float64]:
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
    keys, columns = recipe.keys(names, __name__), []

    def make(name: str) -> Weights:
        return [_fitted(recipe, rows, names.index(name))]

    with Progress("reference model", REFERENCES, is_listed=True) as progress:
        started = time.monotonic()
        for _, (losses,), is_stored in kept_or_made(keys, make, store):
            columns.append(losses)
            detail = "kept" if is_stored else f"{time.monotonic() - started:.1f} s"
            progress.update(len(columns), detail)
            started = time.monotonic()
    return np.stack(columns, axis=1)


def _fitted(
    recipe: ReferenceRecipe, rows: AttackedRows, number: int
) -> npt.NDArray[np.float64]:
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
