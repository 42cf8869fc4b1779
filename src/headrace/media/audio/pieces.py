"""The parts of a sound by time and frequency, and sounds and maps as pictures."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.media.arrow import lengths
from headrace.media.audio.features import HIGHEST_HZ, LOWEST_HZ, mel
from headrace.media.audio.samples import Samples, to_floats, to_samples
from headrace.media.forms import Pieces, Removal
from headrace.records import DataDescription

Edges = npt.NDArray[np.float64]

TIMES, BANDS = 8, 6
_FADE_SECONDS = 0.01  # between two times, so that no click is made
_SILENCE = 1e-8  # of the loudest part's power: 80 dB below it
_LEAST_SAMPLES = 64  # of a part
_WINDOW_SECONDS = 0.025  # of a spectrogram
_LEAST_DECIBELS = -80
_STRONGEST = 0.75  # opacity of the strongest value of a map


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


def draw_sample(axes: Any, sample: Samples, data: DataDescription) -> None:
    """Draw the spectrogram of one sound ``(samples,)`` on matplotlib axes."""
    rate = data.sample_rate_hz
    width = min(len(sample), max(16, int(_WINDOW_SECONDS * rate)))
    windows = np.lib.stride_tricks.sliding_window_view(to_floats(sample), width)
    windows = windows[:: max(1, width // 2)]
    power = np.square(np.abs(np.fft.rfft(windows * np.hanning(width)).T))
    decibels = 10 * np.log10(np.maximum(power / max(power.max(), 1e-12), 1e-8))
    extent = (0, len(sample) / rate, 0, rate / 2)
    options = {"origin": "lower", "aspect": "auto", "vmin": _LEAST_DECIBELS}
    axes.imshow(decibels, extent=extent, cmap="magma", **options)
    axes.set_xlabel("time (s)", fontsize=7, labelpad=1)
    axes.set_ylabel("frequency (Hz)", fontsize=7, labelpad=1)
    axes.tick_params(labelsize=6, pad=1, length=2)
    box = axes.get_position()  # labels need room within it
    left, bottom = 0.17 * box.width, 0.17 * box.height
    axes.set_position(
        (box.x0 + left, box.y0 + bottom, box.width - left, box.height - bottom)
    )


def draw_map(
    axes: Any, item: Samples, values: npt.NDArray[Any], data: DataDescription
) -> None:
    """Draw a spectrogram, and a map ``(times, bands)`` over it."""
    draw_sample(axes, item, data)
    limit = float(np.abs(values).max()) or 1.0
    mesh = axes.pcolormesh(
        time_edges(item) / data.sample_rate_hz,
        band_edges(data.sample_rate_hz),
        values.T,
        cmap="bwr",
        vmin=-limit,
        vmax=limit,
    )
    mesh.set_alpha((_STRONGEST * np.abs(values.T) / limit).ravel())
