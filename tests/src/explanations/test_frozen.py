"""Explanations of a network whose beginning is frozen."""

import numpy as np
import pytest

from headrace.explanations import Explainer, Item, verdict_of
from headrace.explanations.sanity import check_sanity
from headrace.explanations.verdict import sentences, verdicts_of
from headrace.imports.backend import load_backend
from headrace.models import compose
from headrace.stages.fitting.frozen import frozen_prefix


@pytest.fixture
def calls():
    """How many items the frozen part was asked for."""
    return []


@pytest.fixture
def frozen(images, calls):
    """A model with a frozen layer, and the parts of its network."""
    load_backend()
    import keras

    class Counts(keras.layers.Layer):
        def call(self, values):
            import tensorflow as tf

            tf.py_function(lambda n: calls.append(int(n)), [tf.shape(values)[0]], [])
            return values

    preprocessing = keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Rescaling(1 / 255)]
    )
    network = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            Counts(),
            keras.layers.Flatten(),
            keras.layers.Dense(12, "tanh", trainable=False),
            keras.layers.Dense(2, "softmax"),
        ]
    )
    return compose(images, preprocessing, network), frozen_prefix(network)


def test_the_maps_are_the_same_and_what_is_frozen_is_asked_once(
    frozen, images, pixels, calls
):
    model, cut = frozen
    items = [Item.of(item, 1, images) for item in pixels]
    plain = Explainer(model, images)
    wanted = plain.maps(items, "occlusion")
    explainer = Explainer(model, images)
    explainer.freeze(*cut)
    calls.clear()
    for _ in range(3):
        maps = explainer.maps(items, "occlusion")
        for one, other in zip(maps, wanted, strict=True):
            np.testing.assert_allclose(one.values, other.values, atol=1e-5)
    asked = 3 + sum(int(item.pieces.present.sum()) for item in items)
    assert sum(calls) == asked
    assert explainer.methods == ("occlusion",)
    assert explainer.no_gradients == "its network begins with frozen layers"


def test_the_check_gives_other_weights_to_the_rest_alone(frozen, images, pixels):
    model, cut = frozen
    before = [np.array(weight) for weight in model.get_weights()]
    explainer = Explainer(model, images)
    explainer.freeze(*cut)
    items = [Item.of(item, 0, images) for item in pixels]
    own = cut.rest.get_weights()  # as a fit of a reference gives them
    others = {"other_seed": own, "random_labels": [-w for w in own]}
    metrics = check_sanity(explainer, items, others)
    assert metrics["occlusion_other_seed"] == pytest.approx(1)
    assert metrics["occlusion_random_labels"] == pytest.approx(-1)
    assert -1 < metrics["occlusion_random_weights"] < 1
    assert all(map(np.array_equal, before, model.get_weights()))
    verdict = verdict_of(metrics, "gradients")
    assert verdict.status == "unchecked"
    assert "begins with frozen layers" in verdict.reason
    assert sum("frozen layers" in one for one in sentences(verdicts_of(metrics))) == 1
