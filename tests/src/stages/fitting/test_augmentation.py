"""Augmentation in a fit: what it follows from, and that it is in training alone."""

from pathlib import Path

import numpy as np
import pytest
from tests.src.stages.fitting.conftest import InShards, data, recipe

from headrace.errors import SpecError
from headrace.pipeline import PipelineSpec, TrainingSpec
from headrace.pipeline.augment import AugmentSpec
from headrace.records import DataDescription
from headrace.stages.fitting import Fit
from headrace.stages.fitting.augmentation import Augmenter, Mixed, losses_of
from headrace.stages.fitting.data import TrainingData
from headrace.stages.fitting.recipe import Objective
from headrace.stages.fitting.shards import Examples
from headrace.stages.fitting.windows import keys_of_window, windows_of_epoch
from headrace.tasks import task

pytestmark = pytest.mark.system

ALL = {"flip": "both", "crop": 0.3, "colour": 0.2, "mixup": 0.4}
COUNTS = np.array([4, 6, 0, 5])


def keys(most, seed=1, epoch=0):
    """The key of each (shard, place in it), read in windows of so many rows."""
    found = {}
    for window in windows_of_epoch(COUNTS, most, 4, seed, epoch):
        places = [(s, row) for s in window.shards for row in range(COUNTS[s])]
        values = keys_of_window(window, COUNTS, seed, epoch).tolist()
        found |= dict(zip(places, values, strict=True))
    return found


def test_the_key_of_a_row_follows_from_seed_epoch_and_row_alone():
    whole = keys(100)
    assert len(whole) == len({*whole.values()}) == 15
    assert keys(5) == whole
    others = [keys(100, epoch=1), keys(100, seed=2)]
    assert all(not {*other.values()} & {*whole.values()} for other in others)


def test_a_fit_is_the_same_again_and_not_that_without(fit):
    plain, first, again = (
        fit("mlp", augment=augment)[0] for augment in (None, ALL, ALL)
    )
    assert first.weights_digest == again.weights_digest
    assert first.weights_digest != plain.weights_digest
    assert first.model.to_json() == plain.model.to_json(), "it is not in the model"


def test_how_many_steps_run_at_once_changes_nothing(fit, monkeypatch):
    together, _ = fit("cnn", augment=ALL)
    monkeypatch.setattr("headrace.stages.fitting.execution.STEPS_PER_CALL", 1)
    assert fit("cnn", augment=ALL)[0].weights_digest == together.weights_digest


def test_xla_gives_the_same_weights_but_for_rounding(fit, use_xla):
    plain, _ = fit("mlp", augment=ALL)
    use_xla()
    compiled, _ = fit("mlp", augment=ALL)
    assert (plain.execution.xla, compiled.execution.xla) == (False, True)
    for one, other in zip(plain.model.weights, compiled.model.weights, strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), atol=1e-5)


def test_how_many_steps_are_one_program_of_xla_changes_nothing(
    fit, use_xla, monkeypatch
):
    use_xla()
    together, _ = fit("mlp", augment=ALL)
    monkeypatch.setattr("headrace.stages.fitting.execution.STEPS_PER_CALL", 1)
    assert fit("mlp", augment=ALL)[0].weights_digest == together.weights_digest


def test_mixed_rows_have_the_cross_entropy_of_mixed_labels():
    import keras

    mixing = Augmenter(AugmentSpec(mixup=1.0), "image")
    rows = np.asarray(mixing.rows(np.arange(8, dtype=np.int32), 0, 8))
    assert rows.tolist() == [7, 0, 1, 2, 3, 4, 5, 6, 7]
    assert np.asarray(mixing.rows(rows[1:], 3, 5)).tolist() == [2, 3, 4]
    items = np.eye(8, dtype=np.float32)[rows]
    labels = rows % 3
    mixed, targets = mixing.mix(items, labels, rows.astype(np.int64) * 7919)
    share = np.asarray(targets.share)
    assert (share >= 0.5).all()
    assert np.ptp(share) > 0.1
    expected = np.eye(8) * share[:, None] + np.eye(8)[rows[:-1]] * (1 - share)[:, None]
    np.testing.assert_allclose(np.asarray(mixed), expected, atol=1e-6)

    objective = Objective(task("classification"), TrainingSpec(), Path())
    logits = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    outputs = keras.ops.softmax(logits)
    losses = losses_of(objective, None, targets, outputs)
    soft = np.eye(3)[labels[1:]] * share[:, None]
    soft += np.eye(3)[labels[:-1]] * (1 - share)[:, None]
    of_soft = keras.losses.categorical_crossentropy(soft.astype(np.float32), outputs)
    np.testing.assert_allclose(np.asarray(losses), np.asarray(of_soft), rtol=1e-5)


def test_shares_follow_the_beta_distribution():
    shares = Augmenter(AugmentSpec(mixup=0.2), "image")._shares
    # The mean distance of Beta(a, a) from one half is 4 ** -a / (a * B(a, a)).
    assert np.mean(shares - 0.5) == pytest.approx(0.39881, abs=0.0005)


def test_a_loss_of_a_whole_batch_cannot_be_mixed(tmp_path):
    (tmp_path / "own.py").write_text(
        "def mean(targets, outputs):\n"
        "    import keras\n"
        "    return keras.ops.mean((targets - outputs) ** 2)\n"
    )
    spec = recipe(loss="own:mean", augment={"mixup": 0.2})
    with pytest.raises(SpecError, match="mixup needs the loss of each row"):
        Fit(spec, tmp_path, "mlp", data())


def test_tokens_of_texts_are_dropped_in_training():
    from tests.src.stages.fitting.test_features import as_rows

    items = as_rows(["red blue", "blue", "green", "red green"])
    rows = Examples(items, np.array([0, 0, 1, 1], np.int32))
    description = DataDescription(medium="text", shape=(16,), classes=("a", "b"))
    texts = TrainingData(description, InShards(rows, [4]), rows)
    digests = set()
    for augment in (None, {"token_drop": 0.5}):
        spec = {"name": "texts", "medium": "text", "data": {"source": "somewhere"}}
        training = {"epochs": 2, "augment": augment}
        made = PipelineSpec.model_validate({**spec, "training": training})
        fitted = Fit(made, Path(), "text_cnn", texts).run(lambda *_: None)
        digests.add(fitted.weights_digest)
    assert len(digests) == 2


def test_targets_that_are_not_mixed_have_the_plain_loss():
    objective = Objective(task("classification"), TrainingSpec(), Path())
    outputs, targets = np.full((2, 3), 1 / 3, np.float32), np.array([0, 2])
    plain = np.asarray(losses_of(objective, None, targets, outputs))
    mixed = losses_of(objective, None, Mixed(targets, targets, np.ones(2)), outputs)
    np.testing.assert_allclose(plain, np.asarray(mixed), rtol=1e-6)


def test_sounds_are_augmented_for_a_network_that_takes_any_length(tmp_path):
    (tmp_path / "own.py").write_text(
        "import keras\n"
        "def build(data):\n"
        "    raw, steps = keras.Input(data.shape), keras.Input((None, 4))\n"
        "    frames = keras.layers.Reshape((-1, 4))(raw)\n"
        "    mean = keras.layers.GlobalAveragePooling1D()(steps)\n"
        "    answer = keras.layers.Dense(2, activation='softmax')(mean)\n"
        "    return keras.Model(raw, frames), keras.Model(steps, answer)\n"
    )
    sounds = np.random.default_rng(0).integers(-99, 99, (12, 40)).astype(np.int16)
    sounds[:, 20:] = 0
    rows = Examples(sounds, np.arange(12, dtype=np.int32) % 2)
    description = DataDescription(
        medium="audio", shape=(40,), sample_rate_hz=8000, classes=("a", "b")
    )
    digests = set()
    for augment in (None, {"shift": 0.2, "gain": 6.0, "mask": 0.2}):
        training = {"epochs": 2, "augment": augment}
        spec = {"name": "sounds", "medium": "audio", "data": {"source": "somewhere"}}
        made = PipelineSpec.model_validate({**spec, "training": training})
        shards = InShards(rows, [12])
        fit = Fit(made, tmp_path, "own:build", TrainingData(description, shards, rows))
        digests.add(fit.run(lambda *_: None).weights_digest)
    assert len(digests) == 2
