"""Draws sounds as spectrograms, and maps over them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.media.audio.pieces import band_edges, time_edges
from headrace.media.audio.samples import Samples, to_floats
from headrace.records import DataDescription

_WINDOW_SECONDS = 0.025  # of a spectrogram
_LEAST_DECIBELS = -80
_STRONGEST = 0.75  # opacity of the strongest value of a map


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
