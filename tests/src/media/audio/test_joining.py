"""Clips that are joined to a recording."""

import io

import numpy as np
import pytest
import soundfile

from headrace.errors import SourceError
from headrace.media.audio.clips import decode_clips, join
from headrace.media.forms import Problem

RATE = 8000


def tone(hertz, seconds=0.3):
    places = np.arange(round(seconds * RATE)) / RATE
    return (10_000 * np.sin(2 * np.pi * hertz * places)).astype(np.int16)


def random(seed=0):
    return np.random.default_rng(seed)


def test_clips_follow_each_other_with_pauses():
    clips = [tone(400), tone(900)]
    sound = join(clips, RATE, (0.1, 0.1), None, random())
    assert sound.dtype == np.int16
    assert len(sound) == 2 * 2400 + 3 * 800
    assert not sound[:800].any() and not sound[3200:4000].any()
    assert (sound[800:3200] == clips[0]).all()
    assert (sound[4000:6400] == clips[1]).all()


def test_pauses_are_within_their_bounds_and_differ():
    lengths = {
        len(join([tone(400)], RATE, (0.0, 0.25), None, random(seed)))
        for seed in range(50)
    }
    assert min(lengths) >= 2400
    assert max(lengths) <= 2400 + 2 * 2000
    assert len(lengths) > 40


@pytest.mark.parametrize("decibels", [10.0, 30.0])
def test_noise_has_its_level_below_the_clips(decibels):
    clip = tone(400, 2.0)
    noisy = join([clip], RATE, (0, 0), (decibels, decibels), random())
    noise = noisy.astype(float) - clip
    ratio = 10 * np.log10(
        np.square(clip.astype(float)).mean() / np.square(noise).mean()
    )
    assert ratio == pytest.approx(decibels, abs=0.2)


def test_what_would_be_too_loud_is_made_quieter():
    loud = np.tile(np.array([32_767, -32_768], np.int16), 1000)
    sound = join([loud], RATE, (0, 0), (10, 10), random())
    assert np.abs(sound.astype(int)).max() == pytest.approx(0.99 * 2**15, abs=1)


def test_nothing_cannot_be_joined():
    with pytest.raises(SourceError, match="no samples"):
        join([np.empty(0, np.int16)], RATE, (0, 1), None, random())


def test_files_are_decoded_to_their_length_at_one_rate():
    buffer = io.BytesIO()
    soundfile.write(buffer, np.repeat(tone(400), 2), 2 * RATE, "PCM_16", format="WAV")
    sound, problem = decode_clips([buffer.getvalue(), b"nothing"], RATE)
    assert isinstance(sound, np.ndarray)
    assert 2390 <= len(sound) <= 2400
    assert isinstance(problem, Problem)
