"""Augmentation of sounds: shift, gain and mask of samples and of spectra."""

import numpy as np
import pytest

from headrace.imports.backend import load_backend
from headrace.media.audio.augmentation import augment

KEYS = np.arange(64, dtype=np.int64) * 7919


@pytest.fixture(scope="module", autouse=True)
def _backend():
    load_backend()


def augmented(items, **fields):
    return np.asarray(augment(items, KEYS, fields))


def spectra(frames=20, bands=8):
    return np.full((len(KEYS), frames, bands), 0.5, np.float32)


def test_a_shift_moves_the_sound_either_way_and_leaves_silence():
    clicks = np.zeros((64, 20), np.float32)
    clicks[:, 10] = 1
    moved = augmented(clicks, shift=0.2)
    places = moved.argmax(axis=1)
    assert (moved.sum(axis=1) == 1).all()
    assert set(places) == set(range(6, 15))
    of_spectra = augmented(clicks[:, :, None].repeat(3, 2), shift=0.2)
    np.testing.assert_array_equal(of_spectra, moved[:, :, None].repeat(3, 2))


def test_a_gain_of_samples_is_a_factor():
    factors = augmented(np.full((64, 5), 0.1, np.float32), gain=6)[:, 0] / 0.1
    assert 1 / 2 < factors.min() < 0.6
    assert 1.7 < factors.max() < 2


def test_a_gain_of_spectra_raises_what_is_not_silent():
    items = spectra()
    items[:, :, 0] = 0
    after = augmented(items, gain=8)
    assert (after[:, :, 0] == 0).all()
    levels = after[:, 0, 1]
    np.testing.assert_array_equal(
        after[:, :, 1:], levels[:, None, None] + 0 * after[:, :, 1:]
    )
    assert 0.4 <= levels.min() < 0.43
    assert 0.57 < levels.max() <= 0.6


def test_a_mask_silences_one_span_of_frames_and_one_of_bands():
    after = augmented(spectra(), mask=0.5)
    for one in after == 0:
        frames, bands = one.all(axis=1), one.all(axis=0)
        assert frames.sum() <= 10
        assert bands.sum() <= 4
        np.testing.assert_array_equal(one, frames[:, None] | bands)
        assert np.abs(np.diff(frames.astype(int))).sum() <= 2, "one span"
    assert (after == 0).mean() > 0.2
    silent = augmented(np.ones((64, 20), np.float32), mask=0.5) == 0
    assert 0 < silent.sum(axis=1).max() <= 10
