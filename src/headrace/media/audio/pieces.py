"""The parts of a sound by time and frequency."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from headrace.media.arrow import lengths
from headrace.media.audio.features import HIGHEST_HZ, LOWEST_HZ, mel
from headrace.media.audio.samples import Samples, to_floats, to_samples
from headrace.media.pieces import Pieces, Removal
from headrace.records import DataDescription

Edges = npt.NDArray[np.float64]

TIMES, BANDS = 8, 6
_FADE_SECONDS = 0.01  # between two times, so that no click is made
_SILENCE = 1e-8  # of the loudest part's power: 80 dB below it
_LEAST_SAMPLES = 64  # of a part


def pieces(item: Samples, data: DataDescription) -> Pieces:
    """The parts of a sound ``(samples,)``: spans of time by bands of frequency.

    The parts add up to the sound. Bands are equally wide in mel. A removed part is
    silent; one that is 80 dB below the loudest is not present.
    """
    rate, sound, times = data.sample_rate_hz, to_floats(item), time_edges(item)
    hertz = band_edges(rate)
    windows = _windows(times, item.shape[0], round(_FADE_SECONDS * rate))
    bands = _bands(sound, hertz, rate)
    power = np.array([[np.square(w * b).sum() for b in bands] for w in windows])

    def without(removals: Sequence[Removal]) -> Samples:
        rows = np.repeat(sound[np.newaxis], len(removals), axis=0)
        for place, removal in enumerate(removals):
            for number in removal:
                time, band = divmod(number, len(bands))
                rows[place] -= windows[time] * bands[band]
        return to_samples(rows)

    return Pieces(
        names=[
            f"{start:.2f} to {end:.2f} s, {low:,.0f} to {high:,.0f} Hz"
            for start, end in itertools.pairwise(times / rate)
            for low, high in itertools.pairwise(hertz)
        ],
        shape=(len(windows), len(bands)),
        present=(power > _SILENCE * max(power.max(), 1e-12)).ravel(),
        without=without,
    )


def time_edges(item: Samples) -> Edges:
    """The bounds of the spans of time in samples, ``(times + 1,)``."""
    count = max(1, int(lengths(item[np.newaxis])[0]))
    return np.linspace(0, count, min(TIMES, max(1, count // _LEAST_SAMPLES)) + 1)


def band_edges(rate: int) -> Edges:
    """The bounds of the bands in hertz, ``(bands + 1,)``; from 0 to half the rate."""
    highest = min(rate / 2, HIGHEST_HZ)
    lowest = min(LOWEST_HZ, highest / 10)
    mels = np.linspace(mel(lowest), mel(highest), BANDS + 1)
    hertz = 700 * np.expm1(mels / 1127)
    hertz[0], hertz[-1] = 0.0, rate / 2
    return hertz


def _windows(
    times: npt.NDArray[np.float64], samples: int, fade: int
) -> npt.NDArray[np.float32]:
    """The share of each sample that is in a span of time, ``(times, samples)``."""
    places = np.arange(samples) + 0.5
    half = max(1, fade) / 2
    steps = [np.clip((places - edge) / (2 * half) + 0.5, 0, 1) for edge in times[1:-1]]
    rising = np.stack([np.ones(samples), *steps, np.zeros(samples)])
    return np.asarray(rising[:-1] - rising[1:], np.float32)


def _bands(
    sound: npt.NDArray[np.float32], hertz: Edges, rate: int
) -> npt.NDArray[np.float32]:
    """The part of a sound in each band, ``(bands, samples)``."""
    spectrum = np.fft.rfft(sound)
    numbers = np.searchsorted(hertz[1:-1], np.fft.rfftfreq(len(sound), 1 / rate))
    parts = [np.where(numbers == n, spectrum, 0) for n in range(len(hertz) - 1)]
    return np.fft.irfft(np.stack(parts), len(sound)).astype(np.float32)
