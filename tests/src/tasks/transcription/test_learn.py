"""The CTC loss, against the forward algorithm, and the temperature."""

import numpy as np
import pytest
from tests.src.tasks.transcription.conftest import described, encoded, spelled

from headrace.errors import SpecError
from headrace.imports import backend
from headrace.imports.backend import load_backend
from headrace.pipeline import TrainingSpec
from headrace.tasks.transcription import decoding
from headrace.tasks.transcription.learn import HEAD, best_temperature

RECIPE = TrainingSpec()


@pytest.fixture(scope="module", autouse=True)
def _backend():
    load_backend()


def made(rows=6, steps=9):
    """Random outputs of three words and the blank, and targets of 1 to 3 words."""
    random = np.random.default_rng(1)
    outputs = random.dirichlet(np.ones(4), (rows, steps)).astype(np.float32)
    targets = random.integers(0, 3, (rows, 4)).astype(np.int32)
    for row in range(rows):
        targets[row, row % 3 + 1 :] = -1
    return outputs, targets


@pytest.mark.parametrize("has_gpu", [False, True])
def test_the_loss_is_that_of_the_forward_algorithm(has_gpu, monkeypatch):
    """The sparse kernel and `keras.ops.ctc_loss` give one loss."""
    monkeypatch.setattr(backend, "has_gpu", lambda: has_gpu)
    outputs, targets = made()
    losses = np.asarray(HEAD.losses(None, targets, outputs, RECIPE))
    wanted = -decoding.log_likelihood(outputs, targets[:, :-1])
    assert losses.shape == (6,)
    assert losses == pytest.approx(wanted, rel=1e-4)


def test_both_losses_have_one_gradient(monkeypatch):
    import tensorflow as tf

    outputs, targets = made()
    gradients = []
    for has_gpu in (False, True):
        monkeypatch.setattr(backend, "has_gpu", lambda has_gpu=has_gpu: has_gpu)
        logits = tf.Variable(np.log(outputs))
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(
                HEAD.losses(None, tf.constant(targets), tf.nn.softmax(logits), RECIPE)
            )
        gradients.append(tape.gradient(loss, logits).numpy())
    assert gradients[0] == pytest.approx(gradients[1], abs=1e-4)


def test_a_transcript_that_is_too_long_for_the_steps_has_no_gradient():
    import tensorflow as tf

    logits = tf.Variable(np.zeros((1, 2, 4), np.float32))
    targets = np.array([[0, 0, 0, -1]], np.int32)
    with tf.GradientTape() as tape:
        loss = HEAD.losses(None, targets, tf.nn.softmax(logits), RECIPE)
    assert not np.asarray(tape.gradient(loss, logits)).any()


def test_training_scores_bound_the_error_rate(words):
    said = ["one two", "one", "two one two"]
    targets = encoded(said, words)
    right = HEAD.training_scores(targets, spelled(said, words))
    assert np.asarray(right).tolist() == [0, 0, 0]
    off = HEAD.training_scores(targets, spelled(["one", "one", "one"], words))
    assert np.asarray(off) == pytest.approx([0.5, 0, 2 / 3])


def test_validation_counts_words_and_nats(words, characters):
    said = ["one two", "one"]
    found = HEAD.validation_metrics(
        None, spelled(["one one", "one"], words), encoded(said, words)
    )
    assert found["val_word_error_rate"] == pytest.approx(1 / 3)
    texts = ["wordaa a", "wordab a"]
    found = HEAD.validation_metrics(
        None,
        spelled(["wordaa a", "wordaa a"], characters),
        encoded(texts, characters),
    )
    assert found["val_word_error_rate"] == pytest.approx(1 / 4)
    assert found["val_loss"] > 0


def test_the_temperature_makes_confidence_as_high_as_the_share_of_right_rows():
    """Of answers that are far too sure, and wrong every fifth time."""
    data = described(["one", "two"])
    truth = ["one" if row % 2 else "two" for row in range(100)]
    swap = {"one": "two", "two": "one"}
    said = [swap[w] if row % 5 == 0 else w for row, w in enumerate(truth)]
    outputs = spelled(said, data, 0.9999)
    temperature = best_temperature(outputs, encoded(truth, data))
    assert temperature > 2
    logits = np.log(outputs.astype(np.float64)) / temperature
    scaled = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    before, after = (
        decoding.log_likelihood(x, encoded(truth, data)[:, :-1]).mean()
        for x in (outputs, scaled)
    )
    assert after > before + 1


def test_calibration_divides_the_logits_and_keeps_the_transcripts(words):
    import keras

    steps = keras.Input((9, 5))
    network = keras.Model(steps, keras.layers.Dense(3, activation="softmax")(steps))
    items = np.random.default_rng(0).normal(0, 5, (40, 9, 5)).astype(np.float32)
    before = network.predict_on_batch(items)
    targets = encoded(["one two"] * 40, words)
    recipe = TrainingSpec(calibrate=True)
    found = HEAD.finish(network, lambda: before, targets, recipe)
    after = network.predict_on_batch(items)
    scaled = np.log(before) / found["temperature"]
    scaled = np.exp(scaled) / np.exp(scaled).sum(axis=2, keepdims=True)
    assert found["temperature"] != 1
    assert after == pytest.approx(scaled, abs=1e-4)
    assert decoding.greedy(after) == decoding.greedy(before)
    assert HEAD.finish(network, lambda: before, targets, RECIPE) == {"temperature": 1.0}


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((4,), r"gives outputs of shape \(None, 4\), and a transcription needs 3"),
        ((9, 4), "needs 3 probabilities for each step"),
        ((2, 3), "gives 2 steps, and the longest transcript has 3 words"),
    ],
)
def test_a_network_of_another_shape_is_refused(words, shape, message):
    import keras

    items = keras.Input(shape)
    network = keras.Model(items, keras.layers.Activation("softmax")(items))
    with pytest.raises(SpecError, match=message):
        HEAD.check_network(network, words, "mine")
