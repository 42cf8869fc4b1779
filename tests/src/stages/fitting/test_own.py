"""A Keras user's loss, metrics, optimizer, schedule and callbacks."""

import numpy as np
import pytest
from tests.src.stages.fitting.test_checkpoints import (
    Killed,
    checkpoints,
    kill_after,
)

from headrace.errors import Refusal, SpecError
from headrace.models.logged.loading import answers

pytestmark = pytest.mark.system

OWN = """
import keras


def halved(targets, outputs, weight=0.5):
    return weight * keras.losses.categorical_crossentropy(targets, outputs)


def highest(targets, outputs):
    return keras.ops.max(outputs, axis=-1)


def optimizer(learning_rate, momentum=0.0):
    return keras.optimizers.SGD(learning_rate, momentum=momentum)


def rate(epoch, rate):
    return rate / (epoch + 1)


def no_loss(targets, outputs):
    return targets + missing


class Counter(keras.callbacks.Callback):
    epochs = 0

    def on_epoch_end(self, epoch, logs=None):
        self.epochs += 1
        self.lowest = min(logs["val_loss"], getattr(self, "lowest", 9.0))
        self.model.optimizer.learning_rate = 0.05 / self.epochs
        if self.epochs == 3:
            self.model.stop_training = True


class Failing(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        logs["val_f1"]


class Stepwise(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        pass
"""
CONSTANT = {"decay": 0}


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)  # the fits' pipeline folder is "."


def plateau(**arguments):
    callback = {"name": "ReduceLROnPlateau", "patience": 1, "min_delta": 10.0}
    return {"callbacks": [callback | arguments], **CONSTANT}


def test_patience_ends_a_fit_and_restores_its_best_epoch(fit, make_data):
    data, wild = make_data(), {"learning_rate": 1.0, "momentum": 0.0}
    fitted, epochs = fit("mlp", data, epochs=30, patience=2, **wild)
    losses = [epoch["val_loss"] for epoch in epochs]
    assert len(epochs) == fitted.best_epoch + 2 < 30
    assert fitted.best_epoch == 1 + int(np.argmin(losses))
    given = answers(fitted.model, data.val.items)
    true = given[np.arange(10), data.val.targets]
    assert -np.log(true).mean() == pytest.approx(min(losses), rel=1e-5)
    until = fit("mlp", data, epochs=len(epochs), **wild)[0]
    assert until.weights_digest == fitted.weights_digest
    assert fitted.metrics["stopped_epoch"] == len(epochs)
    assert "stopped_epoch" not in until.metrics, "all its epochs were trained"


def test_patience_without_validation_rows_is_refused(fit, make_data):
    with pytest.raises(SpecError, match=r"training\.patience = 2, .*no validation"):
        fit("mlp", make_data(50, 0), patience=2)


def test_an_own_loss_is_what_is_fitted_and_what_the_best_epoch_is_chosen_by(fit):
    _, plain = fit("mlp", loss="categorical_crossentropy", epochs=1)
    _, halved = fit("mlp", loss="own:halved", epochs=1, learning_rate=0.1)
    assert plain[0]["train_loss"] > halved[0]["train_loss"] > 0
    # Half of the loss at twice the rate is the same training.
    assert halved[0]["val_loss"] == pytest.approx(plain[0]["val_loss"] / 2, rel=1e-4)


@pytest.mark.parametrize(
    "loss", ["CategoricalCrossentropy", "SparseCategoricalCrossentropy"]
)
def test_kerass_crossentropies_take_the_classes_and_are_the_tasks_own(fit, loss):
    (_, task), (_, keras) = fit("mlp"), fit("mlp", loss=loss)
    assert keras[-1]["val_loss"] == pytest.approx(task[-1]["val_loss"], rel=1e-4)
    assert keras[-1]["train_loss"] == pytest.approx(task[-1]["train_loss"], rel=1e-4)


def test_metrics_are_measured_on_the_validation_split(fit):
    names = [
        "own:highest",
        {"name": "TopKCategoricalAccuracy", "k": 2},
        "SparseCategoricalAccuracy",
    ]
    _, epochs = fit("mlp", metrics=names)
    last = epochs[-1]
    assert last["val_top_k_categorical_accuracy"] == 1.0
    assert last["val_sparse_categorical_accuracy"] == pytest.approx(
        last["val_accuracy"]
    )
    assert 0.5 <= last["val_highest"] <= 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "own:no_loss"}, "fails on outputs of shape .*'missing'"),
        ({"loss": "own:nothing"}, "training.loss = 'own:nothing' cannot be imported"),
        ({"loss": {"name": "Huber", "dela": 1}}, "'Huber' cannot be made: .*dela"),
        ({"metrics": ["F1Score"]}, "val_f1_score has 2 numbers"),
        ({"metrics": ["Accuracy"]}, "val_accuracy is measured twice"),
        ({"optimizer": "own:rate"}, "cannot be made"),
        ({"optimizer": "own:halved"}, "cannot be made"),
        (
            {"callbacks": ["own:Stepwise"]},
            "has on_train_batch_end, which cannot be called: many",
        ),
        ({"callbacks": ["own:optimizer"]}, "cannot be made"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence(fit, changes, message):
    with pytest.raises(SpecError, match=message):
        fit("mlp", **changes)


def test_an_own_optimizer_gets_the_learning_rate_and_its_arguments(fit):
    own = {"name": "own:optimizer", "momentum": 0.9}
    mine, _ = fit("mlp", optimizer=own, nesterov=False)
    assert mine.weights_digest == fit("mlp", nesterov=False)[0].weights_digest


def test_a_plateau_lowers_the_rate(fit):
    lowered, _ = fit("mlp", epochs=4, **plateau(factor=0.1))
    assert lowered.weights_digest != fit("mlp", epochs=4, **CONSTANT)[0].weights_digest
    patient, _ = fit("mlp", epochs=4, **plateau(factor=0.1, patience=4))
    assert patient.weights_digest == fit("mlp", epochs=4, **CONSTANT)[0].weights_digest


def test_a_callback_that_fails_is_named(fit):
    failed = r"The callback Failing failed in on_epoch_end: KeyError: 'val_f1'"
    with pytest.raises(Refusal, match=failed):
        fit("mlp", callbacks=["own:Failing"], **CONSTANT)


def test_a_callback_can_end_the_fit(fit):
    assert len(fit("mlp", epochs=9, callbacks=["own:Counter"], **CONSTANT)[1]) == 3


RESUMED = {
    "patience": {"epochs": 30, "patience": 2, "learning_rate": 1.0, "momentum": 0.0},
    "loss and metric": {"loss": "Dice", "metrics": ["mse"], "learning_rate": 0.5},
    "plateau": plateau(factor=0.3, cooldown=1),
    "schedule": {
        "schedule": {"name": "ExponentialDecay", "decay_steps": 3, "decay_rate": 0.5}
    },
    "scheduler": {
        "callbacks": [{"name": "LearningRateScheduler", "schedule": "own:rate"}],
        **CONSTANT,
    },
    "own callback": {"callbacks": ["own:Counter"], **CONSTANT},
    **{
        name: {"optimizer": name, "learning_rate": 0.01}
        for name in ("adamw", "Nadam", "rmsprop", "lion", "adafactor", "Muon")
    },
    "schedule-free": {"optimizer": "ScheduleFreeAdamW", **CONSTANT},
    "averaged": {"optimizer": {"name": "adam", "use_ema": True}},
}


@pytest.mark.parametrize("changes", RESUMED.values(), ids=RESUMED)
def test_a_killed_fit_with_own_things_ends_with_the_same_weights(
    fit, tmp_path, monkeypatch, changes
):
    changes = {"epochs": 4, **changes}
    unbroken, told = fit(**changes)
    for steps in (6, 8):  # within the second epoch, and as it ends
        with monkeypatch.context() as patch:
            kill_after(patch, steps)
            with pytest.raises(Killed):
                fit(checkpoints=checkpoints(tmp_path), **changes)
    went_on, told_again = fit(checkpoints=checkpoints(tmp_path), **changes)
    assert went_on.weights_digest == unbroken.weights_digest
    assert went_on.of_the_fit == unbroken.of_the_fit
    assert [e["val_loss"] for e in told_again] == [e["val_loss"] for e in told]
