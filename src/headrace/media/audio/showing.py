"""Sounds to be seen and heard."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np

from headrace.media.audio.samples import Samples, to_floats
from headrace.records import DataDescription


def draw_sample(axes: Any, sample: Samples, data: DataDescription) -> None:
    """Draw one sound ``(samples,)`` on matplotlib axes: its wave over seconds."""
    seconds = np.arange(len(sample)) / data.sample_rate_hz
    axes.plot(seconds, to_floats(sample), linewidth=0.3)
    axes.set_ylim(-1, 1)
    axes.set_xlim(0, max(len(sample), 1) / data.sample_rate_hz)


def as_html(sample: Samples, data: DataDescription) -> str:
    """One sound ``(samples,)`` to be played in a page, without its padding."""
    import soundfile

    sounding = np.flatnonzero(sample)
    end = int(sounding[-1]) + 1 if len(sounding) else 1
    file = io.BytesIO()
    soundfile.write(file, sample[:end], data.sample_rate_hz, "PCM_16", format="WAV")
    text = base64.b64encode(file.getvalue()).decode()
    return f'<audio controls preload="none" src="data:audio/wav;base64,{text}"></audio>'
