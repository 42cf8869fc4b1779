"""The medium audio, as `headrace.media.interface.Medium` describes it.

Sounds from files and arrays become int16 ``(n, samples)``: mono, at one sample rate,
zero-padded at the end.
"""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.media.arrow import lengths
from headrace.media.audio.columns import columns, expectations, fingerprints
from headrace.media.audio.features import preprocessing
from headrace.media.audio.files import KINDS, decode_files, sizes, suggest
from headrace.media.audio.fingerprints import alike
from headrace.media.audio.form import form_of
from headrace.media.audio.pieces import draw_map, draw_sample, pieces
from headrace.media.audio.samples import (
    Samples,
    check_input,
    decode_array,
    fit,
    long_form,
    parts,
    to_floats,
    to_samples,
    usual_shape,
)
from headrace.media.interface import Medium
from headrace.records import DataDescription

FIELDS = {
    "sample_rate_hz": (
        "int | None",
        {
            "default": None,
            "ge": 1000,
            "le": 384_000,
            "description": "sounds only: all of them are brought to this sample rate",
        },
    ),
    "seconds": (
        "float | None",
        {
            "default": None,
            "gt": 0,
            "le": 600,
            "description": "sounds only: all of them are brought to this length",
        },
    ),
}
AUGMENT = {
    "shift": (
        "float",
        {
            "default": 0.0,
            "ge": 0,
            "le": 0.9,
            "examples": [0.1],
            "description": "sounds only: begin earlier or later by up to this share of "
            "the length, with silence in the gap",
        },
    ),
    "gain": (
        "float",
        {
            "default": 0.0,
            "ge": 0,
            "le": 60,
            "examples": [6],
            "description": "sounds only: louder or quieter by up to so many decibels",
        },
    ),
    "mask": (
        "float",
        {
            "default": 0.0,
            "ge": 0,
            "le": 0.9,
            "examples": [0.1],
            "description": "sounds only: silence a span of up to this share of the "
            "length and, of spectra, one of the bands",
        },
    ),
}


class Audio(Medium):
    """Sounds of one sample rate."""

    DTYPE = np.dtype(np.int16)
    PADDED = True
    CACHED = True
    SCALE_COLUMNS = ("rms",)
    RELATIVE_COLUMNS = ("mostly_noise", "clipped")
    NEAR_LIMIT = 0.05  # short sounds of one kind are much alike
    DEFAULT_BUILDER = BEST_BUILDER = "audio_cnn"
    UNITS = "samples"
    SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".mp3", ".aif", ".aiff", ".au")
    MAGICS = (*KINDS,)
    MEDIA_TYPES = ("audio/*", "application/ogg")
    EXAMPLE = ("sound", "wav")
    SOURCES = (
        "Give a folder (or zip or tar) with one folder of sounds for each class, a "
        "table that names files beside it, the folder of such a table, or Parquet."
    )
    SAMPLE_INCHES = (3.2, 2.4)
    DIVIDES_ITEMS = True

    form_of = staticmethod(form_of)
    decode_array = staticmethod(decode_array)
    sizes = staticmethod(sizes)
    decode_files = staticmethod(decode_files)
    suggest = staticmethod(suggest)
    usual_shape = staticmethod(usual_shape)
    fit = staticmethod(fit)
    long_form = staticmethod(long_form)
    parts = staticmethod(parts)
    columns = staticmethod(columns)
    fingerprints = staticmethod(fingerprints)
    expectations = staticmethod(expectations)
    alike = staticmethod(alike)
    raw = staticmethod(to_floats)
    check_input = staticmethod(check_input)
    preprocessing = staticmethod(preprocessing)
    draw_sample = staticmethod(draw_sample)
    pieces = staticmethod(pieces)
    draw_map = staticmethod(draw_map)

    def as_stored(self, items: npt.NDArray[Any], data: DataDescription) -> Samples:
        """Sounds float32 -1..1 as int16."""
        return to_samples(items)

    def as_html(self, sample: Samples, data: DataDescription) -> str:
        """A player for one sound ``(samples,)``, without its padding."""
        import soundfile

        end = max(1, int(lengths(sample[np.newaxis])[0]))
        file = io.BytesIO()
        soundfile.write(file, sample[:end], data.sample_rate_hz, "PCM_16", format="WAV")
        text = base64.b64encode(file.getvalue()).decode()
        data_uri = f"data:audio/wav;base64,{text}"
        return f'<audio controls preload="none" src="{data_uri}"></audio>'


MEDIUM = Audio()
