"""The family for sequences of words, on tones made here."""

import numpy as np
import pytest

from headrace.media.audio.features import augment_speech
from headrace.models.ctc_crnn import build
from headrace.records import DataDescription

DATA = DataDescription(
    medium="audio",
    task="transcription",
    shape=(16_000,),
    sample_rate_hz=8000,
    target={"unit": "words", "tokens": ["a", "b"], "longest": 3, "scripts": []},
)


def features(rows=4, frames=120):
    random = np.random.default_rng(0)
    return random.uniform(0.2, 1, (rows, frames, 40)).astype(np.float32)


def test_it_gives_a_step_for_four_frames():
    prepared, body = build(DATA, filters=8, units=6)
    assert prepared.output_shape == (None, 126, 40)
    assert body.output_shape == (None, None, 12)
    for frames in (120, 64):
        assert body(features(frames=frames)).shape == (4, frames // 4, 12)


def test_characters_get_three_steps_for_four_frames():
    target = {**DATA.target, "unit": "characters"}
    data = DATA.model_copy(update={"target": target})
    _, body = build(data, filters=8, units=6)
    assert body(features(frames=120)).shape == (4, 90, 4)
    _, body = build(data, filters=8, units=6, labels_per_step=2)
    assert body(features(frames=120)).shape == (4, 60, 6)


def test_its_hop_does_not_grow_with_the_length():
    long = DATA.model_copy(update={"shape": (80_000,)})
    assert build(long)[0].output_shape == (None, 626, 40)


def test_it_has_three_hundred_thousand_weights():
    assert 200_000 < build(DATA)[1].count_params() < 400_000


def test_units_must_be_divisible():
    with pytest.raises(ValueError, match="2 x 5 units cannot be divided among 3"):
        build(DATA, units=5, labels_per_step=3)


def test_it_saves_and_loads_in_safe_mode(tmp_path):
    import keras

    _, body = build(DATA, filters=8, units=6)
    body.save(tmp_path / "body.keras")
    loaded = keras.saving.load_model(tmp_path / "body.keras", safe_mode=True)
    x = features()
    assert np.asarray(loaded(x)) == pytest.approx(np.asarray(body(x)), abs=1e-5)


def test_augmentation_is_of_training_only_and_keeps_padding_silent():
    import keras

    inputs = keras.Input((None, 40))
    model = keras.Model(inputs, augment_speech(inputs, 1.0))
    x = features()
    x[:, 80:] = 0
    assert np.asarray(model(x, training=False)) == pytest.approx(x, abs=1e-5)
    varied = np.asarray(model(x, training=True))
    assert varied.shape == x.shape
    assert np.abs(varied - x)[:, :60].mean() > 0.05
    # Slower by an eighth at most; what is added to silence is noise alone.
    assert np.abs(varied[:, 100:]).mean() < 0.05


def test_the_tempo_changes_and_no_frame_at_the_begin_is_lost():
    import keras

    inputs = keras.Input((None, 40))
    model = keras.Model(inputs, augment_speech(inputs, 1.0))
    x = np.zeros((64, 100, 40), np.float32)
    x[:, 5:60] = 1
    keras.utils.set_random_seed(0)
    varied = np.asarray(model(x, training=True)).mean(axis=2)
    ends = np.array([np.flatnonzero(row > 0.3)[-1] for row in varied])
    begins = np.array([np.flatnonzero(row > 0.3)[0] for row in varied])
    assert ends.std() > 2
    assert 48 <= ends.min() and ends.max() <= 68  # 59, and an eighth of it
    assert np.median(begins) == pytest.approx(5, abs=1)
