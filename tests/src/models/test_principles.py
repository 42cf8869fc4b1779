"""The shipped network by the textbook's formulas, in float64, beside Keras's answers.

Keras computes in float32, whose numbers have a relative distance of 2**-23. A sum of
n products of such numbers is off by about sqrt(n) times that, here 784 at most, and
three such layers follow each other forward and three backward: 6 * 28 * 2**-23 is
2e-5, relative to the largest number in each array. That is the tolerance throughout.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from headrace import models
from headrace.pipeline import TrainingSpec
from headrace.records import DataDescription
from headrace.stages.fitting.recipe import make_optimizer

TOLERANCE = 2e-5
DIGITS = DataDescription(medium="image", shape=(28, 28, 1), classes=tuple("0123456789"))
Float = npt.NDArray[np.float64]


@dataclass
class Textbook:
    """784-512-512-10: ReLU, ReLU, softmax; cross-entropy; gradients by hand."""

    weights: list[Float]  # W1, b1, W2, b2, W3, b3

    def forward(self, pixels):
        """The activation of each layer, the input first, and the probabilities."""
        w1, b1, w2, b2, w3, b3 = self.weights
        a0 = pixels.reshape(len(pixels), -1) / 255
        a1 = np.maximum(a0 @ w1 + b1, 0)
        a2 = np.maximum(a1 @ w2 + b2, 0)
        z = a2 @ w3 + b3
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return [a0, a1, a2], e / e.sum(axis=1, keepdims=True)

    def loss(self, pixels, labels):
        """The mean of -log p of the true class."""
        _, p = self.forward(pixels)
        return float(-np.log(p[np.arange(len(labels)), labels]).mean())

    def gradients(self, pixels, labels):
        """The loss's derivative by each weight, back through the layers."""
        (a0, a1, a2), p = self.forward(pixels)
        _, _, w2, _, w3, _ = self.weights
        d3 = (p - np.eye(10)[labels]) / len(labels)
        d2 = (d3 @ w3.T) * (a2 > 0)
        d1 = (d2 @ w2.T) * (a1 > 0)
        layers = ((a0, d1), (a1, d2), (a2, d3))
        return [g for a, d in layers for g in (a.T @ d, d.sum(axis=0))]


@pytest.fixture(scope="module")
def batch():
    random = np.random.default_rng(5)
    pixels = random.integers(0, 256, (32, 28, 28, 1)).astype(np.float32)
    return pixels, random.integers(0, 10, 32, np.int32)


@pytest.fixture(scope="module")
def shipped():
    """(pre-processing, network) with float32 weights of a seed."""
    import keras

    keras.utils.set_random_seed(1)
    return models.build("mlp", DIGITS, {})


@pytest.fixture(scope="module")
def textbook(shipped):
    return Textbook([w.astype(np.float64) for w in shipped[1].get_weights()])


def close(keras_says, textbook_says):
    got, expected = np.asarray(keras_says, np.float64), np.asarray(textbook_says)
    assert got.shape == expected.shape
    return bool(np.abs(got - expected).max() <= TOLERANCE * np.abs(expected).max())


def keras_gradients(shipped, batch):
    import keras
    import tensorflow as tf

    preprocessing, network = shipped
    pixels, labels = batch
    with tf.GradientTape() as tape:
        given = network(preprocessing(pixels), training=True)
        losses = keras.losses.sparse_categorical_crossentropy(labels, given)
        loss = keras.ops.mean(losses)
    return float(loss), tape.gradient(
        loss, [w.value for w in network.trainable_variables]
    )


def test_the_shipped_network_has_the_articles_shape(shipped):
    shapes = [w.shape for w in shipped[1].get_weights()]
    assert shapes == [(784, 512), (512,), (512, 512), (512,), (512, 10), (10,)]
    assert shipped[1].count_params() == 669_706


def test_the_forward_pass(shipped, textbook, batch):
    preprocessing, network = shipped
    _, expected = textbook.forward(batch[0].astype(np.float64))
    assert close(network(preprocessing(batch[0])), expected)


def test_the_loss_and_its_gradients(shipped, textbook, batch):
    pixels, labels = batch[0].astype(np.float64), batch[1]
    loss, gradients = keras_gradients(shipped, batch)
    assert loss == pytest.approx(textbook.loss(pixels, labels), rel=TOLERANCE)
    expected = textbook.gradients(pixels, labels)
    assert [close(*pair) for pair in zip(gradients, expected, strict=True)] == [
        True
    ] * 6


@pytest.mark.system
def test_the_textbooks_gradients_are_slopes_of_its_loss(textbook, batch):
    """The formulas themselves, by central differences."""
    pixels, labels = batch[0].astype(np.float64), batch[1]
    gradients = textbook.gradients(pixels, labels)
    step = 1e-6
    for weight, gradient in zip(textbook.weights, gradients, strict=True):
        place = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
        kept, losses = weight[place], []
        for moved in (kept + step, kept - step):
            weight[place] = moved
            losses.append(textbook.loss(pixels, labels))
        weight[place] = kept
        slope = (losses[0] - losses[1]) / (2 * step)
        assert slope == pytest.approx(gradient[place], rel=1e-4)


@pytest.mark.parametrize("nesterov", [True, False])
def test_steps_of_sgd_with_momentum_and_decay(nesterov):
    import keras

    spec = TrainingSpec(learning_rate=0.1, momentum=0.9, nesterov=nesterov, decay=0.5)
    optimizer = make_optimizer(spec, 10)
    variable = keras.Variable([1.0, -2.0], dtype="float32")
    w, v = np.array([1.0, -2.0]), np.zeros(2)
    for step, g in enumerate(np.array([[0.5, 1.0], [-0.25, 2.0], [1.0, 1.0]])):
        optimizer.apply_gradients(
            [(keras.ops.convert_to_tensor(g, "float32"), variable)]
        )
        rate = 0.1 / (1 + 0.5 * step)
        v = 0.9 * v - rate * g
        w = w + 0.9 * v - rate * g if nesterov else w + v
        assert close(variable.numpy(), w)


def test_one_step_of_the_shipped_recipe_on_the_shipped_network(
    textbook, shipped, batch
):
    import keras

    network = keras.models.clone_model(shipped[1])
    network.set_weights(shipped[1].get_weights())
    optimizer = make_optimizer(TrainingSpec(), 10)
    _, gradients = keras_gradients((shipped[0], network), batch)
    optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=True))
    pixels, labels = batch[0].astype(np.float64), batch[1]
    for got, before, gradient in zip(
        network.get_weights(),
        textbook.weights,
        textbook.gradients(pixels, labels),
        strict=True,
    ):
        velocity = -0.01 * gradient  # from rest
        step = 0.9 * velocity - 0.01 * gradient
        # The float32 weight is about 1e3 times its step: only the sum's rounding shows.
        assert np.abs(got - (before + step)).max() < 2**-23
