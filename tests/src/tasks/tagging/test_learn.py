"""Thresholds of tags, and the model that has them."""

from dataclasses import replace

import numpy as np
import pytest

from headrace.errors import SpecError
from headrace.pipeline import TrainingSpec
from headrace.tasks import task
from headrace.tasks.learn import Fitting
from headrace.tasks.tagging.learn import thresholds_of

HEAD = task("tagging").head


def test_a_threshold_has_the_highest_f1_of_its_tag():
    random = np.random.default_rng(0)
    true = random.random((300, 1)) < 0.2
    own = np.clip(0.2 * true + 0.5 * random.random((300, 1)), 0, 1)
    (at,) = thresholds_of(own.astype(np.float32), true.astype(np.float32))

    def f1(threshold):
        given = own >= threshold
        return float(2 * (given & true).sum() / (given.sum() + true.sum()))

    assert f1(at) == max(f1(each) for each in np.linspace(0, 1, 501))


def test_of_equal_thresholds_that_nearest_to_half_is_taken():
    own = np.array([[0.9]] * 6 + [[0.1]] * 6, np.float32)
    true = np.array([[1]] * 6 + [[0]] * 6, np.float32)
    assert thresholds_of(own, true) == [pytest.approx(0.5)]


def test_a_tag_with_few_rows_of_val_keeps_half():
    own = np.linspace(0, 1, 20, dtype=np.float32)[:, np.newaxis]
    assert thresholds_of(own, (own > 0.9).astype(np.float32)) == [0.5]


def test_the_saved_model_has_the_thresholds(data, tmp_path):
    import keras

    from headrace import models

    targets = np.tile(np.eye(3, dtype=np.float32), (20, 1))
    items = (targets @ np.ones((3, 64)) * 50).reshape(-1, 8, 8, 1).astype(np.uint8)
    prepared, network = models.build("mlp", data, {}, targets=lambda: targets)
    fitting = Fitting(prepared, network, data, TrainingSpec())

    class Val:
        questions, targets = items, None

    Val.targets = targets
    begun = models.compose(data, prepared, network)
    assert np.asarray(begun(items))[:, 3:].tolist() == [[0.5] * 3] * 60
    made, _ = HEAD.complete(begun, fitting, None, Val)
    outputs = np.asarray(made(items))
    chosen = thresholds_of(outputs[:, :3], targets)
    assert outputs[:, 3:] == pytest.approx(np.tile(chosen, (60, 1)), abs=1e-6)
    private = TrainingSpec.model_validate({"privacy": {"epsilon": 8.0}})
    same, _ = HEAD.complete(begun, replace(fitting, training=private), None, Val)
    assert same is begun  # the rows of val decide on nothing
    made.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert np.asarray(loaded(items)) == pytest.approx(outputs)
    names = [[w.path for w in m.weights] for m in (begun, made)]
    assert names[0] == names[1]


def test_calibration_needs_sigmoids_and_finds_a_temperature(data):
    import keras

    inputs = keras.Input((4,))
    network = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(inputs))
    with pytest.raises(SpecError, match="activation='sigmoid'"):
        HEAD.check_training(network, TrainingSpec(calibrate=True))
    random = np.random.default_rng(1)
    logits = random.normal(0, 2, (2000, 3))
    true = (random.random((2000, 3)) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    sharp = (1 / (1 + np.exp(-2 * logits))).astype(np.float32)
    assert HEAD.best_temperature(sharp, true) == pytest.approx(2, abs=0.15)
