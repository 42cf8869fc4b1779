"""Both ways of clipping give the sum of what each row's own gradient gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from headrace.stages.fitting.privacy import ghost, rowwise

ROWS, CLASSES = 24, 3


def losses(network, targets, outputs):
    import keras

    return keras.losses.sparse_categorical_crossentropy(targets, outputs)


def dense(activation="relu"):
    import keras

    keras.utils.set_random_seed(1)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((5, 4)),
            layers.Flatten(),
            layers.Dense(16, activation=activation),
            layers.Dense(9, use_bias=False),
            layers.LeakyReLU(),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )


def convolution():
    import keras

    keras.utils.set_random_seed(1)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((5, 4)),
            layers.Conv1D(6, 3, activation="relu"),
            layers.LayerNormalization(),
            layers.GlobalMaxPooling1D(),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )


def batch(scale=1.0):
    import tensorflow as tf

    generator = np.random.default_rng(0)
    items = generator.normal(size=(ROWS, 5, 4)).astype(np.float32) * scale
    targets = generator.integers(0, CLASSES, ROWS).astype(np.int32)
    mask = (np.arange(ROWS) < 20).astype(np.float32)
    return tf.constant(items), tf.constant(targets), tf.constant(mask)


def one_by_one(network, clip, items, targets, mask):
    """The sum, from a tape for each row; also the norm of each row's gradient."""
    import tensorflow as tf

    sums, norms = [np.zeros(v.shape) for v in network.trainable_variables], []
    for row in range(len(mask)):
        with tf.GradientTape() as tape:
            outputs = network(items[row : row + 1], training=True)
            loss = losses(network, targets[row : row + 1], outputs)[0]
        gradients = tape.gradient(loss, network.trainable_weights)
        parts = [np.asarray(g, np.float64) for g in gradients]
        norm = np.sqrt(sum((part**2).sum() for part in parts))
        norms.append(norm)
        factor = float(mask[row]) * min(1.0, clip / norm)
        sums = [s + factor * part for s, part in zip(sums, parts, strict=True)]
    return sums, norms


def norm_of(sums):
    return float(np.sqrt(sum((np.asarray(s, np.float64) ** 2).sum() for s in sums)))


@pytest.mark.system
@pytest.mark.parametrize(
    ("way", "make"),
    [
        pytest.param(ghost, dense, id="ghost norms"),
        pytest.param(rowwise, dense, id="row by row"),
        pytest.param(rowwise, convolution, id="a convolution"),
    ],
)
def test_the_sum_is_that_of_each_rows_clipped_gradient(way, make):
    import tensorflow as tf

    network, given = make(), batch()
    norms = one_by_one(network, 1.0, *given)[1]
    clip = float(np.median(norms))
    expected, _ = one_by_one(network, clip, *given)

    @tf.function(autograph=False)
    def compiled(items: Any, targets: Any, mask: Any) -> Any:
        return way.clipped_sum(network, losses, clip, items, targets, mask)

    sums, of_rows, outputs = compiled(*given)
    for value, wanted in zip(sums, expected, strict=True):
        np.testing.assert_allclose(value, wanted, atol=1e-6 * norm_of(expected))
    assert of_rows.shape == (ROWS,)
    assert outputs.shape == (ROWS, CLASSES)


@pytest.mark.system
def test_rows_in_several_chunks_give_the_same(monkeypatch):
    network, given = convolution(), batch()
    whole, _, outputs = rowwise.clipped_sum(network, losses, 0.5, *given)
    monkeypatch.setattr(rowwise, "MEMORY_BYTES", 5 * 4 * network.count_params())
    assert rowwise.chunk_size(network, ROWS) == 5
    parts, _, again = rowwise.clipped_sum(network, losses, 0.5, *given)
    np.testing.assert_allclose(again, outputs, atol=1e-6)
    for value, wanted in zip(parts, whole, strict=True):
        np.testing.assert_allclose(value, wanted, atol=1e-6)


@pytest.mark.system
@pytest.mark.parametrize("way", [ghost, rowwise])
@pytest.mark.parametrize("size", [1.0, 1e6, np.inf, np.nan])
def test_no_row_changes_the_sum_by_more_than_the_clip(way, size):
    import tensorflow as tf

    network, clip = dense(), 0.3
    items, targets, mask = batch()
    without = mask.numpy() * (np.arange(ROWS) != 7)
    strange = items.numpy()
    strange[7] = size
    before = way.clipped_sum(network, losses, clip, items, targets, without)[0]
    given = tf.constant(strange), targets, mask
    after = way.clipped_sum(network, losses, clip, *given)[0]
    change = norm_of([a - b for a, b in zip(after, before, strict=True)])
    assert change <= clip * (1 + 1e-4)
    assert np.isfinite(change)
    assert change > 0 or size != 1.0


def test_random_layers_draw_another_mask_for_each_row_and_pass():
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(1)
    drop = keras.layers.Dropout(0.5)
    network = keras.Sequential([keras.Input((50,)), drop, keras.layers.Dense(50)])
    network.layers[-1].kernel.assign(np.eye(50))
    items, targets = tf.ones((4, 50)), tf.zeros(4, tf.int32)
    given = items, targets, tf.ones(4)

    def squares(_, __, outputs):
        return tf.reduce_sum(tf.square(outputs), 1)

    outputs = [rowwise.clipped_sum(network, squares, 1.0, *given)[2] for _ in range(2)]
    masks = {tuple(row) for output in outputs for row in output.numpy().tolist()}
    assert len(masks) == 8


def test_ghost_norms_suit_dense_layers_that_are_called_once():
    import keras

    layers = keras.layers
    inputs = keras.Input((4,))
    shared = layers.Dense(4)
    assert ghost.suits(dense())
    assert not ghost.suits(convolution())
    assert not ghost.suits(keras.Model(inputs, shared(shared(inputs))))
    steps = keras.Input((5, 4))
    assert not ghost.suits(keras.Sequential([steps, layers.Dense(3)]))
    assert not ghost.suits(keras.Model(inputs, shared(inputs) * keras.ops.sum(inputs)))
    again = dense()
    again(again.inputs[0])  # as a composition does
    assert ghost.suits(again)
