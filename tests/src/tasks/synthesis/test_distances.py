"""Distances between sounds: copies are near, takes are not."""

import numpy as np
import pytest
from tests.src.tasks.synthesis.conftest import take, takes

from headrace.imports.backend import load_backend
from headrace.media.audio.spectra import Framing, magnitudes, sounds_of
from headrace.tasks.synthesis.distances import (
    STEPS,
    distances,
    global_variance,
    lengths,
    pairwise,
    profiles,
    stretched,
)


def test_a_length_reaches_to_the_last_sample_that_is_not_zero():
    sounds = np.array([[0, 1, 0, 2, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], np.float32)
    assert lengths(sounds).tolist() == [4, 1, 5]


def test_a_profile_is_relative_to_the_loudest_value(data):
    framing = Framing.of(data)
    sound = take(0, 0, 1)[np.newaxis]
    same = profiles(np.concatenate([sound, sound / 3]), framing)
    assert same.shape == (2, STEPS, 129)
    assert -1 < same.max() <= 0
    assert same.min() == pytest.approx(-60, abs=1e-4)
    assert pairwise(same[:1], same[1:])[0] == pytest.approx(0, abs=1e-3)


def test_the_distance_of_known_profiles():
    one = np.zeros((2, 3, 4), np.float32)
    other = np.stack([np.full((3, 4), 2.0), np.zeros((3, 4))]).astype(np.float32)
    assert distances(one, other).tolist() == [[2, 0], [2, 0]]
    assert pairwise(one, other).tolist() == [2, 0]


def test_a_copy_is_near_and_another_take_is_not(data):
    load_backend()
    framing = Framing.of(data)
    sounds, _ = takes(4)
    copies = np.array(np.asarray(sounds_of(magnitudes(sounds, framing), framing)))
    for copy, end in zip(copies, lengths(sounds), strict=True):
        copy[end:] = 0
    originals, copied = profiles(sounds, framing), profiles(copies, framing)
    assert pairwise(copied, originals).max() < 3
    others = distances(originals, originals) + 99 * np.eye(len(sounds))
    assert others.min() > 3


def test_averages_vary_less_over_time_than_takes(data):
    sounds, _ = takes(8)
    every = profiles(sounds, Framing.of(data))
    average = every.mean(axis=0, keepdims=True)
    assert global_variance(average).mean() < 0.8 * global_variance(every).mean()


def test_frames_are_stretched_by_interpolation():
    frames = np.array([[0.0], [2.0]], np.float32)
    assert stretched(frames, 5)[:, 0].tolist() == [0, 0.5, 1, 1.5, 2]
