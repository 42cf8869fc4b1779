"""Reference models: fitted once for a recipe and a snapshot."""

from typing import Any

import numpy as np
import pytest
from scipy import special

from headrace.stages.fitting.data import open_data
from headrace.stages.references import ReferenceRecipe, kept_or_made
from headrace.stages.references.seeds_and_labels import (
    Relabelled,
    fit_seed_and_labels,
    varied,
)

Trained = Any
NAMES = ("other_seed", "random_labels")


def recipe_of(trained, **training):
    recipe = trained.spec.training.model_copy(update=training)
    spec = trained.spec.model_copy(update={"training": recipe})
    return ReferenceRecipe(
        spec, "mlp", trained.folder, trained.snapshot, trained.contract
    )


@pytest.mark.system
def test_both_models_begin_alike_and_only_one_learns_the_labels(trained):
    weights = fit_seed_and_labels(recipe_of(trained, learning_rate=1e-7), 1)
    assert weights.keys() == set(NAMES)
    for seed, labels in zip(*(weights[name] for name in NAMES), strict=True):
        assert seed == pytest.approx(labels, abs=1e-4)  # hardly moved from the start
    weights = fit_seed_and_labels(recipe_of(trained), 8)
    rows = open_data(trained.snapshot, trained.contract).train.read(0)
    sure = {}
    for name in NAMES:
        first, bias, second, last = weights[name]
        hidden = np.maximum(rows.items.reshape(-1, 64) / 255 @ first + bias, 0)
        probabilities = special.softmax(hidden @ second + last, axis=1)
        sure[name] = probabilities.max(axis=1).mean()
    assert sure["other_seed"] > 0.9
    assert sure["random_labels"] < 0.5


def test_labels_are_those_of_the_shard_in_another_order(trained):
    shards = open_data(trained.snapshot, trained.contract).train
    rows, other = shards.read(0), Relabelled(shards, 3).read(0)
    assert np.array_equal(rows.items, other.items)
    assert np.array_equal(np.sort(rows.targets), np.sort(other.targets))
    assert not np.array_equal(rows.targets, other.targets)
    assert np.array_equal(other.targets, Relabelled(shards, 3).read(0).targets)


def test_the_variation_has_another_seed_and_none_of_what_runs_beside(trained):
    spec = recipe_of(trained, patience=3, devices=2, callbacks=("mine:stop",)).spec
    recipe = varied(spec, 2).training
    assert recipe.seed != spec.training.seed
    assert (recipe.epochs, recipe.devices, recipe.patience) == (2, 1, 0)
    assert recipe.callbacks == ()


def test_weights_are_made_once_for_a_recipe_and_again_if_the_store_was_changed(trained):
    store, recipe = trained.home.store, recipe_of(trained)
    calls = []

    def make(name):
        calls.append(name)
        return [np.arange(3.0), np.ones((2, 2), np.float32)] if name == "a" else []

    def weights(recipe):
        made = kept_or_made(recipe.keys(["a", "b"]), make, store)
        return {name: arrays for name, arrays, _ in made}

    for _ in range(2):
        kept = weights(recipe)
        assert [w.tolist() for w in kept["a"]] == [[0, 1, 2], [[1, 1], [1, 1]]]
        assert kept["a"][1].dtype == np.float32
        assert kept["b"] == []
    assert calls == ["a", "b"]
    weights(recipe_of(trained, epochs=99))
    assert calls == ["a", "b", "a", "b"]
    assert len(set(recipe.keys(["a", "b"]).values())) == 2
    (key,) = recipe.keys(["a"]).values()
    one_off = np.arange(3.0).tobytes(), np.arange(1.0, 4.0).tobytes()
    store.write(key, store.read(key).replace(*one_off))
    weights(recipe)
    assert calls[4:] == ["a"]
