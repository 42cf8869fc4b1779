"""The convolutional family for sounds, on tones made here."""

import numpy as np
import pytest

from headrace.media.audio.features import preprocessing, spec_augment
from headrace.models.audio_cnn import build
from headrace.records import DataDescription

SHORT = DataDescription(
    medium="audio", shape=(2000,), sample_rate_hz=8000, classes=("low", "high")
)
LARGE = DataDescription(
    medium="audio", shape=(220_500,), sample_rate_hz=44_100, classes=("a", "b")
)


def tones(count=16):
    """Low and high tones in a little noise, ``(count, 2000)``, and their labels."""
    labels = np.arange(count) % 2
    hertz = np.where(labels, 1200, 400) + np.arange(count)
    sounds = np.sin(2 * np.pi * hertz[:, None] * np.arange(2000) / 8000)
    sounds += np.random.default_rng(0).normal(0, 0.01, sounds.shape)
    return (0.3 * sounds).astype(np.float32), labels


def test_features_are_levels_below_the_loudest_whatever_the_gain():
    model = preprocessing(SHORT)
    sounds, _ = tones()
    features = np.asarray(model(sounds))
    assert (features.shape, features.dtype) == ((16, 16, 40), np.float32)
    assert features.min() >= 0
    assert features.max(axis=(1, 2)) == pytest.approx(np.ones(16), abs=1e-5)
    assert np.asarray(model(sounds / 8)) == pytest.approx(features, abs=1e-3)
    bands = features.mean(axis=1).argmax(axis=1)
    assert (bands[::2] < bands[1::2].min()).all()


def test_features_of_a_clip_do_not_depend_on_the_clips_beside_it():
    model = preprocessing(SHORT)
    sounds, _ = tones(2)
    sounds[0] /= 1000
    alone = np.asarray(model(sounds[:1]))
    assert np.asarray(model(sounds))[:1] == pytest.approx(alone, abs=1e-5)


def test_silence_is_zero():
    assert not np.asarray(preprocessing(SHORT)(np.zeros((1, 2000), np.float32))).any()


@pytest.mark.parametrize("samples", (8000, 8063, 8064, 8191))
def test_features_have_the_frames_that_they_say(samples):
    model = preprocessing(SHORT.model_copy(update={"shape": (samples,)}))
    given = model(np.zeros((1, samples), np.float32))
    assert given.shape[1:] == model.output_shape[1:]
    assert given.shape[1:] == (1 + samples // 128, 40)


def test_features_scale_with_rate_and_length():
    assert preprocessing(SHORT).output_shape == (None, 16, 40)
    assert preprocessing(LARGE).output_shape == (None, 201, 64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": (100,)}, "a clip of 100 samples at 8,000 Hz is too short"),
        ({"sample_rate_hz": 0}, "need a sample rate"),
    ],
)
def test_what_has_no_features_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        build(SHORT.model_copy(update=change))


def test_training_varies_features_and_nothing_else_does():
    import keras

    features = keras.Input((16, 40))
    model = keras.Model(features, spec_augment(features, 1.0))
    given = np.asarray(preprocessing(SHORT)(tones()[0]))
    assert np.array_equal(np.asarray(model(given)), given)
    changed = np.asarray(model(given, training=True))
    assert changed.shape == given.shape
    assert 0.02 < np.abs(changed - given).mean() < 0.5
    assert spec_augment(features, 0.0) is features
