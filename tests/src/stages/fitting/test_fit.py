"""Fitting: sameness by seed, which epoch is kept, and when it must stop."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.src.stages.fitting.conftest import ARGUMENTS, recipe

from headrace import models
from headrace.errors import Refusal
from headrace.models.logged.loading import answers
from headrace.pipeline import TrainingSpec
from headrace.records import DataDescription
from headrace.stages.fitting import Fit, weights_digest
from headrace.stages.fitting.recipe import make_optimizer
from headrace.stages.fitting.shards import Examples

pytestmark = pytest.mark.system

SMALL = DataDescription(medium="image", shape=(4, 4, 1), classes=("dark", "bright"))


@pytest.mark.parametrize("builder", ["mlp", "cnn"])
def test_the_same_seed_gives_the_same_weights(fit, builder):
    assert fit(builder)[0].weights_digest == fit(builder)[0].weights_digest


def test_another_seed_gives_other_weights(fit):
    assert fit()[0].weights_digest != fit(seed=4)[0].weights_digest


def test_how_many_steps_run_at_once_changes_nothing(fit, monkeypatch):
    plain, _ = fit("cnn")
    monkeypatch.setattr("headrace.stages.fitting.execution.STEPS_PER_CALL", 1)
    assert fit("cnn")[0].weights_digest == plain.weights_digest


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_xla_gives_the_same_weights_but_for_rounding(fit, use_xla, optimizer):
    plain, _ = fit("mlp", optimizer=optimizer)
    use_xla()
    compiled, _ = fit("mlp", optimizer=optimizer)
    assert (plain.execution.xla, compiled.execution.xla) == (False, True)
    for one, other in zip(plain.model.weights, compiled.model.weights, strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), atol=1e-5)


def test_how_many_steps_are_one_program_of_xla_changes_nothing(
    fit, use_xla, monkeypatch
):
    use_xla()
    monkeypatch.setitem(ARGUMENTS, "mlp", {"hidden": [8], "dropout": 0.3})
    plain, _ = fit("mlp")
    assert plain.execution.xla
    assert plain.execution.steps_per_execution > 3
    for steps in (1, 3):
        monkeypatch.setattr("headrace.stages.fitting.execution.STEPS_PER_CALL", steps)
        assert fit("mlp")[0].weights_digest == plain.weights_digest


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_steps_that_are_one_program_give_the_bits_of_one_program_each(
    fit, use_xla, monkeypatch, optimizer
):
    use_xla()
    together, _ = fit("mlp", optimizer=optimizer)
    # As with pre-processing that XLA may not compile.
    monkeypatch.setattr("headrace.stages.fitting.steps.compiles", lambda _: False)
    alone, _ = fit("mlp", optimizer=optimizer)
    assert (together.execution.xla, alone.execution.xla) == (True, True)
    assert alone.weights_digest == together.weights_digest


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_loss_falls_and_the_classes_are_learned(fit, make_data, optimizer):
    fitted, epochs = fit("cnn", optimizer=optimizer, epochs=12, learning_rate=0.01)
    assert [e["epoch"] for e in epochs] == list(range(1, 13))
    assert epochs[-1]["train_loss"] < epochs[0]["train_loss"]
    test = make_data(40).train.rows
    right = answers(fitted.model, test.items).argmax(axis=1) == test.targets
    assert right.mean() >= 0.95


def test_the_data_is_read_while_the_steps_are_compiled(make_data):
    data = make_data(200, 40, [20] * 10)
    begun = Fit(recipe("cnn"), Path("."), "cnn", data)._loop._windows._read
    assert begun is not None
    begun[1].result()
    assert sorted(data.train.read_) == [*range(10)]


def test_data_in_windows_is_learned_as_well(fit, make_data, monkeypatch):
    monkeypatch.setattr("headrace.stages.fitting.execution.WINDOW_BYTES", 16 * 50)
    data = make_data(200, 40, [20] * 10)
    _, epochs = fit("cnn", data, epochs=8, learning_rate=0.01)
    assert sorted(data.train.read_) == sorted([*range(10)] * 8)
    assert epochs[-1]["val_accuracy"] >= 0.95


def test_data_in_one_window_is_read_once(fit, make_data):
    data = make_data(60, 10, [20, 20, 20])
    fit("mlp", data, epochs=3)
    assert data.train.read_ == [0, 1, 2]


def test_the_epoch_with_the_lowest_validation_loss_is_kept(fit, make_data):
    data = make_data()
    fitted, epochs = fit("mlp", data, epochs=4, learning_rate=1.0, momentum=0.0)
    losses = [e["val_loss"] for e in epochs]
    assert fitted.best_epoch == 1 + int(np.argmin(losses))
    given = answers(fitted.model, data.val.items)
    true = given[np.arange(10), data.val.targets]
    assert -np.log(true).mean() == pytest.approx(min(losses), rel=1e-5)


def test_of_a_schedule_that_ends_at_zero_the_last_epoch_is_kept(fit, make_data):
    data = make_data()
    wrong = Examples(data.val.items, 1 - data.val.targets)  # their loss rises
    fitted, epochs = fit("mlp", replace(data, val=wrong), epochs=4, schedule="cosine")
    losses = [epoch["val_loss"] for epoch in epochs]
    assert (fitted.best_epoch, int(np.argmin(losses))) == (4, 0)
    given = answers(fitted.model, wrong.items)
    true = given[np.arange(10), wrong.targets]
    assert -np.log(true).mean() == pytest.approx(losses[-1], rel=1e-5)


def test_without_validation_rows_the_last_epoch_is_kept(fit, make_data):
    fitted, epochs = fit("mlp", make_data(50, 0))
    assert fitted.best_epoch == 2
    assert set(epochs[0]) == {
        "epoch",
        "train_loss",
        "train_accuracy",
        "epoch_seconds",
        "epoch_cpu_seconds",
    }


def test_a_loss_that_is_not_finite_stops_the_training_at_its_epoch(fit, tmp_path):
    seen = []
    with pytest.raises(
        Refusal, match=r"diverged: the loss of epoch \d+ is (nan|inf)\..*learning_rate"
    ) as caught:
        fit(
            "mlp",
            stop=lambda number, _: seen.append(number),
            optimizer="adam",
            learning_rate=10,
            weight_decay=0.9,  # each step makes the weights eight times as large
            epochs=200,
            batch_size=4,
        )
    assert f"epoch {len(seen) + 1} is" in str(caught.value)


def test_what_an_epoch_raises_ends_the_fit(fit):
    def stop(number, _metrics):
        raise StopIteration(number)

    with pytest.raises(StopIteration, match="1"):
        fit(stop=stop)


def test_the_rate_falls_by_decay_or_stays():
    falling = make_optimizer(TrainingSpec(decay=0.5, learning_rate=0.1), 10)
    assert float(falling.learning_rate) == pytest.approx(0.1)
    falling.iterations.assign(2)
    assert float(falling.learning_rate) == pytest.approx(0.05)
    constant = make_optimizer(TrainingSpec(decay=0, learning_rate=0.1), 10)
    constant.iterations.assign(1000)
    assert float(constant.learning_rate) == pytest.approx(0.1)
    pieces = {"name": "PiecewiseConstantDecay", "boundaries": [5], "values": [0.3, 0.2]}
    stepwise = make_optimizer(TrainingSpec.model_validate({"schedule": pieces}), 10)
    stepwise.iterations.assign(6)
    assert float(stepwise.learning_rate) == pytest.approx(0.2)
    adam = make_optimizer(
        TrainingSpec(optimizer="adam", learning_rate=0.1, decay=0), 10
    )
    assert type(adam).__name__ == "Adam"


def test_the_digest_of_weights_sees_path_shape_and_value():
    import keras

    keras.utils.set_random_seed(0)
    model = models.compose(SMALL, *models.build("mlp", SMALL, {"hidden": [8]}))
    plain = weights_digest(model)
    assert weights_digest(model) == plain
    weights = model.get_weights()
    weights[0][0, 0] = np.nextafter(weights[0][0, 0], np.float32(1))
    model.set_weights(weights)
    assert weights_digest(model) != plain


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_a_variable_with_a_rate_learns_at_its_share_and_does_not_decay(name):
    import keras

    from headrace.stages.fitting.recipe import scale_rates

    variables = [keras.Variable(np.ones(3, np.float32)) for _ in range(2)]
    variables[1].rate = 0.01
    decay = {"weight_decay": 0.5} if name == "adam" else {"momentum": 0.0}
    spec = TrainingSpec(optimizer=name, learning_rate=0.1, decay=0, **decay)
    optimizer = make_optimizer(spec, 10)
    scale_rates(optimizer, variables)
    optimizer.build(variables)
    gradients = [keras.ops.ones(3)] * 2
    optimizer.apply(gradients, variables)
    plain, scaled = (1 - np.asarray(variable) for variable in variables)
    if name == "adam":
        plain -= 0.1 * 0.5
    np.testing.assert_allclose(plain, 0.1, rtol=1e-4)
    np.testing.assert_allclose(scaled, 0.001, rtol=1e-3)
