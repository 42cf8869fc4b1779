"""Reference models: fitted once for a recipe and a snapshot."""

from typing import Any

import numpy as np

from headrace.stages.references import ReferenceRecipe, kept_or_made

Trained = Any


def recipe_of(trained, **training):
    recipe = trained.spec.training.model_copy(update=training)
    spec = trained.spec.model_copy(update={"training": recipe})
    return ReferenceRecipe(
        spec, "mlp", trained.folder, trained.snapshot, trained.contract
    )


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
