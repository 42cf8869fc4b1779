"""Parts of a sound by time and frequency."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from headrace.media.audio import MEDIUM as audio
from headrace.media.audio.pieces import BANDS, TIMES, band_edges, time_edges
from headrace.records import DataDescription

RATE = 8_000
DATA = DataDescription(medium="audio", shape=(RATE,), sample_rate_hz=RATE)


def two_tones():
    """300 Hz in the first half of 0.8 s, then 2,500 Hz; padded to 1 s."""
    time = np.arange(RATE) / RATE
    hertz = np.where(time < 0.4, 300, 2_500)
    sound = 8_000 * np.sin(2 * np.pi * hertz * time) * (time < 0.8)
    return sound.astype(np.int16)


def band_of(hertz):
    return int(np.searchsorted(band_edges(RATE), hertz)) - 1


def test_the_parts_add_up_to_the_sound():
    sound = two_tones()
    pieces = audio.pieces(sound, DATA)
    assert pieces.shape == (TIMES, BANDS)
    without = pieces.without([(n,) for n in range(TIMES * BANDS)]).astype(np.int64)
    total = (sound.astype(np.int64) - without).sum(axis=0)
    assert np.abs(total - sound).max() <= TIMES * BANDS / 2  # each is rounded


def test_parts_of_the_tones_are_present_and_those_in_the_padding_do_not_exist():
    pieces = audio.pieces(two_tones(), DATA)
    power = two_tones().astype(float)
    loud = np.zeros(pieces.shape, bool)
    for number in range(TIMES * BANDS):
        change = power - pieces.without([[number]])[0]
        loud[divmod(number, BANDS)] = np.square(change).sum() > 1e8
    assert loud[:4, band_of(300)].all()
    assert loud[4:, band_of(2_500)].all()
    assert pieces.present.reshape(pieces.shape)[loud].all()
    assert time_edges(two_tones())[-1] / RATE == pytest.approx(0.8, abs=0.001)
    assert pieces.names[0] == f"0.00 to 0.10 s, 0 to {band_edges(RATE)[1]:,.0f} Hz"


def test_a_removed_part_is_silent_there_and_the_rest_stays():
    sound = two_tones()
    number = 1 * BANDS + band_of(300)  # 0.1 to 0.2 s
    removed = audio.pieces(sound, DATA).without([[number]])[0]
    within, beside = slice(900, 1_500), slice(2_000, 3_000)
    level = np.abs(sound[beside]).max()
    assert np.abs(removed[within]).max() < 0.02 * level
    assert np.abs(removed[beside].astype(int) - sound[beside]).max() <= 1


def test_parts_are_removed_together_and_none_leaves_the_sound():
    sound = two_tones()
    whole, silent = audio.pieces(sound, DATA).without([(), range(TIMES * BANDS)])
    assert np.array_equal(whole, sound)
    assert np.abs(silent).max() <= 1


def test_silence_has_no_part_that_is_present():
    silence = np.zeros(RATE, np.int16)
    assert not audio.pieces(silence, DATA).present.any()


def test_bands_reach_from_zero_to_half_the_rate():
    edges = band_edges(48_000)
    assert edges[0] == 0
    assert edges[-1] == 24_000
    assert (np.diff(edges) > 0).all()


def test_a_map_lies_over_the_spectrogram():
    axes = Figure().add_axes((0, 0, 1, 1))
    audio.draw_map(axes, two_tones(), np.ones((TIMES, BANDS)), DATA)
    (mesh,) = axes.collections
    assert mesh.get_array().size == TIMES * BANDS
    corners = mesh.get_coordinates()
    assert corners[..., 0].max() == pytest.approx(0.8, abs=0.001)
    assert corners[..., 1].max() == RATE / 2
