"""Spectra of sounds, and sounds from them."""

import numpy as np
import pytest

from headrace.imports.backend import load_backend
from headrace.media.audio.spectra import Framing, magnitudes, sounds_of
from headrace.records import DataDescription

RATE = 8000
DATA = DataDescription(medium="audio", shape=(4000,), sample_rate_hz=RATE)
FRAMING = Framing.of(DATA)


def tone(hertz, amplitude=0.5):
    """A sine ``(1, 4000)``."""
    time = np.arange(4000) / RATE
    return amplitude * np.sin(2 * np.pi * hertz * time, dtype=np.float32)[np.newaxis]


def test_a_window_is_about_32_ms_at_every_rate():
    assert (FRAMING.window, FRAMING.hop, FRAMING.frames) == (256, 64, 64)
    assert FRAMING.bins == 129
    assert FRAMING.frame_seconds == 0.008
    for rate, window in ((16_000, 512), (22_050, 512), (48_000, 2048)):
        form = DataDescription(medium="audio", shape=(rate,), sample_rate_hz=rate)
        assert Framing.of(form).window == window


def test_a_sound_shorter_than_a_window_is_refused():
    with pytest.raises(ValueError, match="at least a window of 256 samples"):
        Framing.of(DATA.model_copy(update={"shape": (200,)}))


def test_a_sine_has_half_of_its_amplitude_in_its_bin():
    spectrum = magnitudes(tone(1000), FRAMING)
    assert spectrum.shape == (1, 64, 129)
    assert spectrum.dtype == np.float32
    middle = spectrum[0, 20]
    assert middle.argmax() == 32  # 1000 Hz of 31.25 Hz each
    assert middle.max() == pytest.approx(0.25, rel=0.01)


def test_frames_of_a_length():
    counted = FRAMING.frames_in(np.array([0, 1, 64, 65, 99_999]))
    assert counted.tolist() == [1, 1, 1, 2, 64]


def test_the_sound_of_a_spectrum_has_that_spectrum():
    load_backend()
    time = np.arange(4000) / RATE
    falling = 0.3 * np.sin(2 * np.pi * (900 - 500 * time) * time, dtype=np.float32)
    sound = np.stack([tone(700)[0], falling.astype(np.float32)])
    wanted = magnitudes(sound, FRAMING)
    made = np.asarray(sounds_of(wanted, FRAMING))
    assert made.shape == (2, 4000)
    given = magnitudes(made, FRAMING)
    error = np.linalg.norm(given - wanted) / np.linalg.norm(wanted)
    assert error < 0.2


def test_the_same_spectrum_gives_the_same_sound():
    load_backend()
    wanted = magnitudes(tone(440), FRAMING)
    first, second = (np.asarray(sounds_of(wanted, FRAMING)) for _ in range(2))
    assert np.array_equal(first, second)
