"""Private fits: noise, budget, exact resume, and what a fit depends on."""

import numpy as np
import pytest

from headrace.pipeline import TrainingSpec
from headrace.stages.fitting.checkpoints import Checkpoints
from headrace.stages.fitting.data import TrainingData
from headrace.stages.fitting.privacy import plan
from headrace.state.store import Store

pytestmark = pytest.mark.system

STRONG = {"noise": 1_000.0}  # next to it, the gradients do not count


class Killed(BaseException):
    """As if the process had been."""


def weights(fitted):
    return [np.asarray(weight) for weight in fitted.model.trainable_weights]


def checkpoints(store):
    training = TrainingSpec.model_validate({"checkpoint_steps": 1})
    return Checkpoints(Store(str(store)), "abc", training)


def kill_after(monkeypatch, steps):
    real = Checkpoints.save

    def save(self, state):
        real(self, state)
        if state.progress.total_steps >= steps:
            raise Killed

    monkeypatch.setattr(Checkpoints, "save", save)


def test_a_private_fit_learns_and_reports_what_it_spent(private_fit, make_data):
    data = make_data(400, 40)
    fitted, epochs = private_fit({"epsilon": 8.0}, data, epochs=6, learning_rate=0.1)
    assert epochs[-1]["val_accuracy"] >= 0.9
    spent = [metrics["epsilon"] for metrics in epochs]
    assert spent == sorted(spent)
    record = fitted.privacy
    assert 7.9 < record.epsilon <= 8
    assert spent[-1] == record.epsilon == fitted.metrics["epsilon"]
    assert (record.rows, record.steps, record.clip) == (400, 6 * 25, 1.0)
    assert (record.rate, record.delta) == (16 / 400, 0.01 / 400)
    assert fitted.best_epoch == 6, "not the best by rows of val"


def test_equal_fits_are_equal_and_another_secret_gives_other_weights(private_fit):
    first, again = private_fit()[0], private_fit()[0]
    other, public = private_fit(secret="x" * 32)[0], private_fit(secret="")[0]
    assert first.weights_digest == again.weights_digest
    digests = {fitted.weights_digest for fitted in (first, other, public)}
    assert len(digests) == 3
    assert first.privacy.is_secret
    assert not public.privacy.is_secret
    assert first.facts["privacy_seed"] != other.facts["privacy_seed"]
    assert public.facts["privacy_seed"] == "recipe"


def test_other_data_get_other_noise(private_fit, make_data):
    """Else the difference of two models would reveal the row that differs."""
    data = make_data(100)
    moved = [
        weights(private_fit(STRONG, TrainingData(*parts, name), epochs=1)[0])[0]
        for name in ("one", "two", "one")
        for parts in [(data.description, data.train, data.val)]
    ]
    assert np.array_equal(moved[0], moved[2])
    assert abs(np.corrcoef(moved[0].ravel(), moved[1].ravel())[0, 1]) < 0.4


def test_the_noise_has_the_deviation_of_the_plan(private_fit, make_data):
    changes = {"epochs": 1, "momentum": 0.0, "nesterov": False, "decay": 0.0}
    data = make_data(16)  # one step, which samples every row
    one = private_fit({"noise": 1_000.0, "clip": 0.5}, data, **changes)[0]
    two = private_fit({"noise": 500.0, "clip": 0.5}, data, **changes)[0]
    for fitted, noise in ((one, 1_000.0), (two, 500.0)):
        moves = weights(fitted)[0].ravel()
        expected = 0.05 * noise * 0.5 / 16
        assert moves.std() == pytest.approx(expected, rel=0.2)


@pytest.mark.parametrize("steps", [1, 7, 9])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_killed_private_fit_ends_with_the_same_weights(
    private_fit, tmp_path, monkeypatch, steps, optimizer
):
    unbroken, told = private_fit(optimizer=optimizer)
    with monkeypatch.context() as patch:
        kill_after(patch, steps)
        with pytest.raises(Killed):
            private_fit(checkpoints=checkpoints(tmp_path), optimizer=optimizer)
    again = checkpoints(tmp_path)
    went_on, told_again = private_fit(checkpoints=again, optimizer=optimizer)
    assert again.resumed is not None
    assert again.resumed.total_steps == steps
    assert went_on.weights_digest == unbroken.weights_digest
    assert went_on.privacy == unbroken.privacy
    for metrics in (*told, *told_again):
        del metrics["epoch_seconds"], metrics["epoch_cpu_seconds"]
    assert told_again == told


def test_a_fit_does_not_go_on_with_another_secret(private_fit, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        kill_after(patch, 3)
        with pytest.raises(Killed):
            private_fit(checkpoints=checkpoints(tmp_path))
    again = checkpoints(tmp_path)
    fitted, _ = private_fit(checkpoints=again, secret="y" * 32)
    assert again.resumed is None
    assert fitted.weights_digest == private_fit(secret="y" * 32)[0].weights_digest


def test_samples_in_several_passes_give_the_same_weights(private_fit, monkeypatch):
    whole, _ = private_fit(dropout=0.0)
    monkeypatch.setattr(plan, "padded_size", lambda rows, rate: 8)
    parts, _ = private_fit(dropout=0.0)
    for one, other in zip(weights(whole), weights(parts), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


BACKBONE = """
import keras

YIELDS = "vector"


def build(data, **_):
    raw = keras.Input(data.shape)
    preprocessing = keras.Model(raw, keras.layers.Rescaling(1 / 255)(raw))
    items = keras.Input(data.shape)
    inner = keras.Sequential([
        keras.Input(data.shape),
        keras.layers.BatchNormalization(moving_mean_initializer="ones"),
        keras.layers.Flatten(),
        keras.layers.Dense(8),
    ], name="backbone")
    inner.trainable = False
    return preprocessing, keras.Model(items, inner(items))
"""


def test_a_private_head_on_a_frozen_network_takes_its_features_and_leaves_it_alone(
    private_fit, make_data, tmp_path, monkeypatch
):
    (tmp_path / "public.py").write_text(BACKBONE)
    monkeypatch.chdir(tmp_path)
    given = {"builder": "public:build", "epochs": 6, "learning_rate": 0.1}

    def fit():
        return private_fit({"epsilon": 8.0}, make_data(200, 20), **given)

    fitted, epochs = fit()
    assert epochs[-1]["val_accuracy"] >= 0.9
    assert 7.9 < fitted.privacy.epsilon <= 8
    assert (fitted.privacy.rows, fitted.privacy.steps) == (200, 6 * 13)
    learned = {weight.path for weight in fitted.model.trainable_weights}
    assert len(learned) == 2, "the kernel and the bias of the head"
    (mean,) = [w for w in fitted.model.weights if w.path.endswith("moving_mean")]
    (variance,) = [w for w in fitted.model.weights if "moving_variance" in w.path]
    assert (np.asarray(mean) == 1).all()
    assert (np.asarray(variance) == 1).all()
    # What is computed once is what the whole network would compute in each step.
    monkeypatch.setattr(
        "headrace.stages.fitting.data.frozen_prefix", lambda network: None
    )
    whole, _ = fit()
    for one, other in zip(weights(fitted), weights(whole), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_how_many_steps_run_at_once_changes_nothing(private_fit, monkeypatch):
    plain, _ = private_fit()
    monkeypatch.setattr("headrace.stages.fitting.execution.STEPS_PER_CALL", 1)
    assert private_fit()[0].weights_digest == plain.weights_digest


def test_rows_in_shards_are_sampled_as_a_whole(private_fit, make_data, monkeypatch):
    whole, _ = private_fit(on=make_data(100))
    monkeypatch.setattr("headrace.stages.fitting.execution.WINDOW_BYTES", 16 * 20)
    shards, _ = private_fit(on=make_data(100, 10, [40, 25, 35]))
    assert shards.weights_digest == whole.weights_digest


def test_a_fit_stops_when_its_budget_is_spent(private_fit, monkeypatch):
    """As where a checkpoint or a plan is of a later release."""
    monkeypatch.setattr(plan, "noise_for", lambda epsilon, *_: 0.8)
    spent = private_fit({"noise": 0.8}, epochs=4)[1]
    budget = (spent[1]["epsilon"] + spent[2]["epsilon"]) / 2
    fitted, epochs = private_fit({"epsilon": budget}, epochs=4)
    assert len(epochs) == 2
    assert fitted.privacy.epsilon <= budget
    assert fitted.privacy.steps == 2 * 7


def test_a_given_noise_and_delta_are_used(private_fit):
    record = private_fit({"noise": 2.0, "delta": 1e-3, "clip": 0.5}, epochs=1)[
        0
    ].privacy
    assert (record.noise, record.delta, record.clip) == (2.0, 1e-3, 0.5)
