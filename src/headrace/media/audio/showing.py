"""Sounds in reports: spectrograms and players."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np

from headrace.media.audio.samples import Samples, to_floats
from headrace.records import DataDescription

SAMPLE_INCHES = (3.2, 2.4)
_SECONDS = 0.025  # the window of a spectrogram
_LEAST_DECIBELS = -80


def draw_sample(axes: Any, sample: Samples, data: DataDescription) -> None:
    """Draw the spectrogram of one sound ``(samples,)`` on matplotlib axes."""
    rate = data.sample_rate_hz
    width = min(len(sample), max(16, int(_SECONDS * rate)))
    sound = to_floats(sample)
    power = np.square(np.abs(_spectrum(sound, width)))
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


def _spectrum(sound: Any, width: int) -> Any:
    """The short-time Fourier transform, ``(frequencies, times)``."""
    windows = np.lib.stride_tricks.sliding_window_view(sound, width)
    return np.fft.rfft(windows[:: max(1, width // 2)] * np.hanning(width)).T


def as_html(sample: Samples, data: DataDescription) -> str:
    """A player for one sound ``(samples,)``, without its padding."""
    import soundfile

    sounding = np.flatnonzero(sample)
    end = int(sounding[-1]) + 1 if len(sounding) else 1
    file = io.BytesIO()
    soundfile.write(file, sample[:end], data.sample_rate_hz, "PCM_16", format="WAV")
    text = base64.b64encode(file.getvalue()).decode()
    return f'<audio controls preload="none" src="data:audio/wav;base64,{text}"></audio>'
