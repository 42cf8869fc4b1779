"""Two reference models for explanations: of another seed, and of random labels.

Both begin with the same weights, which are not those that the judged model began with:
a network that has learned little is still much like what it began as.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from headrace.pipeline import PipelineSpec
from headrace.stages.fitting import Fit
from headrace.stages.fitting.data import open_data
from headrace.stages.fitting.shards import Examples
from headrace.stages.references import ReferenceRecipe, Weights
from headrace.tasks.forms import Example, Shards

OTHERS = ("other_seed", "random_labels")
_APART = 7_919  # from the seed of the pipeline


class Relabelled:
    """Shards whose targets are in random order, within each shard.

    Args:
        shards: with the right targets.
        seed: of the order.

    Attributes:
        counts: rows of each shard, int64 ``(shards,)``.
    """

    def __init__(self, shards: Shards, seed: int) -> None:
        self._shards, self._seed, self.counts = shards, seed, shards.counts

    def read(self, shard: int) -> Examples:
        """The rows of one shard."""
        rows = self._shards.read(shard)
        random = np.random.default_rng([self._seed, shard])
        return Examples(rows.items, random.permutation(rows.targets))


def fit_seed_and_labels(recipe: ReferenceRecipe, epochs: int) -> dict[str, Weights]:
    """The weights of the networks ``other_seed`` and ``random_labels``.

    There is no validation split, so that their weights are those of the last epoch, and
    no callback of the user is called.

    Args:
        recipe: of the judged model.
        epochs: of both.

    Raises:
        SpecError, Refusal, IntegrityError, DependencyError: as `Fit` does.
    """
    data = open_data(recipe.snapshot, recipe.contract, recipe.home)
    data = replace(data, val=_none_of(data.val))
    spec = varied(recipe.spec, epochs)
    fit = Fit(spec, recipe.folder, recipe.builder, data)
    begin = [value.copy() for value in fit.values()]
    weights: dict[str, Weights] = {}
    for name in OTHERS:
        if weights:
            fit.restart(begin, Relabelled(fit.train, spec.training.seed))
        fit.run(lambda number, metrics: None)
        weights[name] = [np.array(value) for value in fit.network.get_weights()]
    return weights


def _none_of(rows: Example) -> Examples:
    return Examples(rows.items[:0], rows.targets[:0])


def varied(spec: PipelineSpec, epochs: int) -> PipelineSpec:
    """The recipe of another seed, for one device, without callbacks."""
    recipe = spec.training
    changes = {
        "seed": recipe.seed + _APART,
        "epochs": epochs,
        "devices": 1,
        "patience": 0,
        "callbacks": (),
        "metrics": (),
    }
    return spec.model_copy(update={"training": recipe.model_copy(update=changes)})
