"""The loss of a row by a saved model's answers, of each task that shows it."""

import numpy as np
import pytest

from headrace.pipeline.training import TrainingSpec
from headrace.tasks import task
from headrace.tasks.transcription import decoding

PLAIN = TrainingSpec()


def composed(*layers):
    """A saved model's form: pre-processing, and then a network."""
    import keras

    pre = keras.Sequential([keras.Input((2,)), keras.layers.Rescaling(1.0)])
    network = keras.Sequential([keras.Input((2,)), *layers])
    raw = keras.Input((2,))
    return keras.Model(raw, network(pre(raw)))


def test_of_a_classification_it_is_the_cross_entropy():
    import keras

    model = composed(keras.layers.Dense(3, activation="softmax"))
    outputs = np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]], np.float32)
    losses = task("classification").head.row_losses(
        model, outputs, np.array([0, 1]), PLAIN
    )
    assert losses.dtype == np.float64
    assert losses == pytest.approx([-np.log(0.5), -np.log(0.1)], rel=1e-5)


def test_of_a_regression_it_is_in_deviations_of_the_targets():
    """An error of one deviation is 0.95 with a delta of a tenth of one."""
    import keras

    model = composed(keras.layers.Dense(1), keras.layers.Rescaling(4.0, 10.0))
    outputs = np.array([[10.0], [14.0]], np.float32)
    losses = task("regression").head.row_losses(
        model, outputs, np.array([10.0, 10.0]), PLAIN
    )
    assert losses == pytest.approx([0, 0.1 * (10 - 0.5)], abs=1e-5)


def test_of_a_transcription_it_is_that_of_the_whole_transcript():
    import keras

    model = composed(keras.layers.Dense(3, activation="softmax"))
    random = np.random.default_rng(0)
    outputs = random.dirichlet(np.ones(3), (2, 4)).astype(np.float32)
    targets = np.array([[0, 1, 0], [1, -1, 0]])  # the last column is no word
    losses = task("transcription").head.row_losses(model, outputs, targets, PLAIN)
    likelihood = decoding.log_likelihood(outputs, targets[:, :-1])
    assert losses == pytest.approx(-likelihood, rel=1e-4)


def test_of_a_generation_it_is_the_nats_of_a_document():
    outputs = np.array([[64.0, 10], [128.0, 50]], np.float32)
    losses = task("generation").head.row_losses(composed(), outputs, np.zeros(2), PLAIN)
    assert losses.tolist() == [1, 2]


def test_sounds_of_a_synthesis_do_not_show_it():
    outputs = np.zeros((2, 10), np.float32)
    head = task("synthesis").head
    assert head.row_losses(composed(), outputs, np.zeros(2), PLAIN) is None
