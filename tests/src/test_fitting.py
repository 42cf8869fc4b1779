"""Fitting: the order of rows, sameness by seed, and when it must stop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from headrace import models
from headrace.backend import load_backend
from headrace.errors import Refusal
from headrace.fitting import (
    Examples,
    epoch_order,
    fit,
    make_optimizer,
    plan_execution,
    weights_digest,
)
from headrace.inference import probabilities
from headrace.records import DataDescription, Metrics
from headrace.spec import TrainingSpec

SMALL = DataDescription(medium="image", shape=(4, 4, 1), classes=("dark", "bright"))


@pytest.fixture(scope="module", autouse=True)
def _backend() -> None:
    load_backend()


def examples(rows: int, seed: int = 0) -> Examples:
    """Dark and bright images in turn."""
    items = np.random.default_rng(seed).integers(0, 120, (rows, 4, 4, 1), np.uint8)
    labels = (np.arange(rows) % 2).astype(np.int32)
    items[labels == 1] += 120
    return Examples(items, labels)


def train(
    builder: str = "mlp", rows: int = 50, val: int = 10, **recipe: Any
) -> tuple[Any, int, list[Metrics]]:
    """The model, the epoch that was kept, and each epoch's metrics."""
    import keras

    spec = TrainingSpec.model_validate(
        {"epochs": 2, "batch_size": 16, "learning_rate": 0.05, "seed": 3} | recipe
    )
    keras.utils.clear_session()
    keras.utils.set_random_seed(spec.seed)
    arguments = {"hidden": [8]} if builder == "mlp" else {"filters": [4], "units": 8}
    preprocessing, network = models.build(builder, SMALL, arguments)
    model = models.compose(SMALL, preprocessing, network)
    epochs: list[Metrics] = []
    kept = fit(
        model,
        network,
        preprocessing,
        examples(rows),
        examples(val, seed=1),
        spec,
        plan_execution(spec, rows),
        lambda number, metrics: epochs.append({"epoch": number, **metrics}),
    )
    return model, kept, epochs


@pytest.mark.parametrize(("rows", "batch"), [(12, 4), (10, 4), (3, 3), (1, 1), (7, 2)])
def test_an_epoch_takes_every_row_once_in_steps_of_one_shape(
    rows: int, batch: int
) -> None:
    order = epoch_order(1, 0, rows, batch)
    steps = -(-rows // batch)
    assert (order.dtype, order.shape) == (np.int32, (steps, batch))
    flat = order.ravel()
    assert sorted(flat[:rows]) == list(range(rows))
    assert np.array_equal(flat[rows:], flat[: steps * batch - rows])


def test_the_order_is_of_seed_and_epoch_alone() -> None:
    plain = epoch_order(1, 0, 100, 10)
    assert np.array_equal(epoch_order(1, 0, 100, 10), plain)
    assert not np.array_equal(epoch_order(1, 1, 100, 10), plain)
    assert not np.array_equal(epoch_order(2, 0, 100, 10), plain)
    assert not np.array_equal(plain.ravel(), np.arange(100))


def test_the_execution_follows_from_spec_and_rows() -> None:
    plan = plan_execution(TrainingSpec(batch_size=16), 50)
    assert (plan.batch_size, plan.steps_per_epoch, plan.steps_per_execution) == (
        16,
        4,
        4,
    )
    assert plan_execution(TrainingSpec(batch_size=128), 50).batch_size == 50
    assert plan_execution(TrainingSpec(batch_size=1), 5_000).steps_per_execution == 512
    assert plan == plan_execution(TrainingSpec(batch_size=16), 50)


@pytest.mark.parametrize("builder", ["mlp", "cnn"])
def test_the_same_seed_gives_the_same_weights(builder: str) -> None:
    digests = [weights_digest(train(builder)[0]) for _ in range(2)]
    assert digests[0] == digests[1]


def test_another_seed_gives_other_weights() -> None:
    assert weights_digest(train()[0]) != weights_digest(train(seed=4)[0])


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_loss_falls_and_the_classes_are_learned(optimizer: str) -> None:
    model, _, epochs = train(optimizer=optimizer, epochs=8)
    assert [e["epoch"] for e in epochs] == list(range(1, 9))
    assert epochs[-1]["train_loss"] < epochs[0]["train_loss"]
    test = examples(40, seed=2)
    right = probabilities(model, test.items).argmax(axis=1) == test.labels
    assert right.mean() >= 0.95


def test_the_epoch_with_the_lowest_validation_loss_is_kept() -> None:
    model, kept, epochs = train(epochs=4, learning_rate=1.0, momentum=0.0)
    losses = [e["val_loss"] for e in epochs]
    assert kept == 1 + int(np.argmin(losses))
    val = examples(10, seed=1)
    given = probabilities(model, val.items)
    true = given[np.arange(10), val.labels]
    assert -np.log(true).mean() == pytest.approx(min(losses), rel=1e-5)


def test_without_validation_rows_the_last_epoch_is_kept() -> None:
    _, kept, epochs = train(val=0)
    assert kept == 2
    assert set(epochs[0]) == {
        "epoch",
        "train_loss",
        "train_accuracy",
        "epoch_seconds",
    }


def test_a_loss_that_is_not_finite_stops_the_training_at_its_epoch() -> None:
    import keras

    layers = [keras.layers.Dense(8) for _ in range(4)]  # linear: nothing saturates
    network = keras.Sequential(
        [
            keras.Input(SMALL.shape),
            keras.layers.Flatten(),
            *layers,
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    preprocessing, _ = models.build("mlp", SMALL, {"hidden": [8]})
    model = models.compose(SMALL, preprocessing, network)
    spec = TrainingSpec(learning_rate=10, momentum=0.99, epochs=50, batch_size=4)
    rows, seen = examples(50), []
    with pytest.raises(
        Refusal, match=r"diverged: the loss of epoch \d+ is (nan|inf)\..*learning_rate"
    ) as caught:
        fit(
            model,
            network,
            preprocessing,
            rows,
            rows,
            spec,
            plan_execution(spec, 50),
            lambda number, _metrics: seen.append(number),
        )
    assert f"epoch {len(seen) + 1} is" in str(caught.value)


def test_the_rate_falls_by_decay_or_stays() -> None:
    falling = make_optimizer(TrainingSpec(decay=0.5, learning_rate=0.1))
    assert float(falling.learning_rate) == pytest.approx(0.1)
    falling.iterations.assign(2)
    assert float(falling.learning_rate) == pytest.approx(0.05)
    constant = make_optimizer(TrainingSpec(decay=0, learning_rate=0.1))
    constant.iterations.assign(1000)
    assert float(constant.learning_rate) == pytest.approx(0.1)
    adam = make_optimizer(TrainingSpec(optimizer="adam", learning_rate=0.1, decay=0))
    assert type(adam).__name__ == "Adam"


def test_the_digest_of_weights_sees_path_shape_and_value() -> None:
    import keras

    keras.utils.set_random_seed(0)
    model = models.compose(SMALL, *models.build("mlp", SMALL, {"hidden": [8]}))
    plain = weights_digest(model)
    assert weights_digest(model) == plain
    weights = model.get_weights()
    weights[0][0, 0] = np.nextafter(weights[0][0, 0], np.float32(1))
    model.set_weights(weights)
    assert weights_digest(model) != plain
