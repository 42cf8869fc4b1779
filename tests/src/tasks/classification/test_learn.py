"""The temperature of a fitted model."""

import numpy as np
import pytest

from headrace.errors import SpecError
from headrace.imports.backend import load_backend
from headrace.models.logged.loading import answers
from headrace.tasks.calibration import MOST, last_layer, tempered
from headrace.tasks.classification.learn import best_temperature


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("truth", [0.4, 1.0, 2.5])
def test_the_temperature_that_labels_were_drawn_at_is_found(truth):
    draw = np.random.default_rng(0)
    logits = draw.normal(0, 2, (20_000, 4))
    chances = softmax(logits / truth)
    labels = (chances.cumsum(axis=1) > draw.random((20_000, 1))).argmax(axis=1)
    assert best_temperature(softmax(logits), labels) == pytest.approx(truth, rel=0.05)


@pytest.mark.parametrize(("factor", "classes"), [(3, 100), (5, 10), (5, 100)])
def test_the_accuracy_that_is_promised_at_the_fitted_temperature_is_had(
    factor, classes
):
    draw = np.random.default_rng(0)
    logits = draw.normal(0, 1.5, (4000, classes))
    labels = (softmax(logits).cumsum(axis=1) > draw.random((4000, 1))).argmax(axis=1)
    outputs = softmax(factor * logits)
    promised = tempered(outputs, best_temperature(outputs, labels)).max(axis=1).mean()
    assert promised == pytest.approx((outputs.argmax(1) == labels).mean(), abs=0.02)


def test_a_few_rows_that_are_all_right_leave_some_doubt():
    given, labels = softmax(np.eye(3) * 1.0), np.arange(3)
    assert 1 / MOST < best_temperature(given, labels) < 1
    assert 1 / MOST <= best_temperature(np.tile(given, (999, 1)), np.tile(labels, 999))


@pytest.mark.system
def test_a_smoothed_fit_ends_surer_and_says_the_same(fit, make_data):
    recipe = {"epochs": 6, "schedule": "cosine", "label_smoothing": 0.3}
    data = make_data(100, 40)
    plain, _ = fit("mlp", data, **recipe)
    made, epochs = fit("mlp", data, calibrate=True, **recipe)
    assert plain.finished["temperature"] == 1
    assert 1 / MOST <= made.finished["temperature"] < 1
    before, after = (answers(fitted.model, data.val.items) for fitted in (plain, made))
    np.testing.assert_array_equal(before.argmax(axis=1), after.argmax(axis=1))
    loss = -np.log(after[np.arange(40), data.val.targets]).mean()
    assert loss < epochs[-1]["val_loss"]


def test_a_single_validation_row_gives_a_temperature_within_bounds(fit, make_data):
    data = make_data(50, 1)
    made, _ = fit("mlp", data, calibrate=True)
    assert 1 / MOST <= made.finished["temperature"] <= MOST
    assert np.isfinite(answers(made.model, data.val.items)).all()


def test_without_validation_rows_nothing_is_changed(fit, make_data):
    plain, _ = fit("mlp", make_data(50, 0))
    made, _ = fit("mlp", make_data(50, 0), calibrate=True)
    assert made.finished["temperature"] == 1
    assert made.weights_digest == plain.weights_digest


@pytest.mark.parametrize("activation", [None, "sigmoid"])
def test_a_network_with_another_end_is_told_before_it_is_fitted(activation):
    load_backend()
    import keras

    dense = keras.layers.Dense(3, activation=activation, name="end")
    network = keras.Sequential([keras.Input((2,)), dense])
    with pytest.raises(
        SpecError, match=rf"layer Dense \(end\) .* activation {activation or 'linear'}"
    ):
        last_layer(network)
