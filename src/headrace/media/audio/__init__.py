"""The medium audio, as `headrace.media.Medium` describes it.

Sounds from files and arrays become int16 ``(n, samples)``: mono, at one sample rate,
zero-padded at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.media.arrow import as_binary, as_bytes
from headrace.media.audio.arrays import check_input, decode_array
from headrace.media.audio.files import decode_files
from headrace.media.audio.samples import Samples, fit, form_of, to_floats, usual_shape
from headrace.media.audio.showing import SAMPLE_INCHES, as_html, draw_sample
from headrace.media.audio.sizes import sizes
from headrace.media.audio.suggesting import suggest
from headrace.media.forms import Expectation
from headrace.records import DataDescription

__all__ = ["SAMPLE_INCHES", "as_html", "check_input", "decode_array", "decode_files"]
__all__ += ["draw_sample", "fit", "form_of", "sizes", "suggest", "usual_shape"]

DTYPE = np.dtype(np.int16)
PADDED = True
CACHED = True
SCALE_COLUMNS = ("rms",)
DUPLICATES = "set aside"
NEAR_LIMIT = 0.05  # short sounds of one kind are much alike
DEFAULT_BUILDER = BEST_BUILDER = "audio_cnn"
UNITS = "samples"
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
IS_TEXT = False
SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".mp3", ".aif", ".aiff", ".au")
MAGICS = (b"RIFF", b"RIFX", b"RF64", b"fLaC", b"OggS", b"ID3", b"FORM", b".snd")
EXAMPLE = ("sound", "wav")
SOURCES = (
    "Give a folder (or zip or tar) with one sub-folder of sounds per class, a folder "
    "with a table that names its files, or Parquet."
)
# The least similarity of copies. Sounds that are no copies, such as tones, reach 0.956.
SIMILAR = 0.96
# The length of one frame of the features; shorter sounds are useless.
_SHORTEST_SECONDS = 0.05
_LARGEST_OFFSET = 0.03


def as_column(payload: Samples) -> pa.Array:
    """Sounds ``(n, samples)`` as a column of little-endian bytes."""
    return as_binary(payload.astype("<i2", copy=False))


def from_column(column: pa.Array, shape: tuple[int, ...]) -> Samples:
    """The reverse of `as_column`; copies nothing."""
    samples: Samples = as_bytes(column).view("<i2").reshape(-1, *shape)
    return samples


def columns(
    payload: Samples, labels: Sequence[str], data: DataDescription
) -> dict[str, npt.NDArray[Any]]:
    """The columns that the contract checks, of sounds int16 ``(n, samples)``.

    Returns:
        arrays ``(n,)``. float64: ``seconds`` (to the last sample that is not zero),
        ``rms`` and ``peak`` (0..1), ``dc_offset`` (the mean, -1..1; 0 where it is not
        steady), ``clipped_share`` (samples that stay at the loudest value),
        ``silent_share`` (32 ms frames below -60 dB), ``zero_crossing_rate``,
        ``flatness`` (of the spectrum: 1 is white noise), ``level_spread_db`` and
        ``bandwidth_hz`` (where the content ends). bool: ``blank`` (all values are
        equal), ``silence``, ``noise``, ``cliff`` (the content ends abruptly), and the
        outliers ``mostly_noise``, ``clipped`` and ``odd_bandwidth``. uint64:
        ``fingerprint``.
    """
    from headrace.media.audio.blocks import in_blocks
    from headrace.media.audio.company import outliers
    from headrace.media.audio.fingerprints import fingerprints
    from headrace.media.audio.signals import measure

    signals = in_blocks(measure, payload, data.sample_rate_hz)
    codes = in_blocks(fingerprints, payload, data.sample_rate_hz)
    return {**signals, **outliers(signals, labels), **codes}


def alike(
    first: Samples, second: Samples, data: DataDescription
) -> npt.NDArray[np.bool_]:
    """Which of pairs ``(n, samples)`` with near fingerprints are copies, ``(n,)``."""
    from headrace.media.audio.fingerprints import similarity

    same: npt.NDArray[np.bool_]
    same = similarity(first, second, data.sample_rate_hz) >= SIMILAR
    return same


def expectations(data: DataDescription) -> list[Expectation]:
    """The default contract on those columns."""
    shortest = min(_SHORTEST_SECONDS, data.shape[0] / (2 * data.sample_rate_hz))
    between = "expect_column_values_to_be_between"
    offset = {"min_value": -_LARGEST_OFFSET, "max_value": _LARGEST_OFFSET}
    return [
        _never("silence", "nothing in it is louder than -60 dB", warns=False),
        Expectation(
            "too_short",
            between,
            {"column": "seconds", "min_value": shortest},
            f"it is shorter than {shortest:g} s",
        ),
        Expectation(
            "dc_offset",
            between,
            {"column": "dc_offset", **offset},
            "its samples do not swing around zero",
            warns=True,
        ),
        _never("mostly_noise", "it is noise, and the others of its class are not"),
        _never("clipped", "it was too loud for what recorded or scaled it"),
        _never(
            "odd_bandwidth",
            "its content ends at another frequency than the others': was its sample "
            "rate another?",
        ),
    ]


def _never(column: str, reason: str, *, warns: bool = True) -> Expectation:
    arguments = {"column": column, "value_set": [False]}
    name = "expect_column_values_to_be_in_set"
    return Expectation(column, name, arguments, reason, warns)


def raw(payload: Samples) -> npt.NDArray[np.float32]:
    """Sounds as a saved model takes them: float32 -1..1, ``(n, samples)``."""
    return to_floats(payload)


def variants(payload: Samples) -> list[npt.NDArray[Any]]:
    """The one type of input that a saved model takes."""
    return [raw(payload)]


def preprocessing(data: DataDescription) -> Any:
    """The first part of a saved model: samples to features.

    Input shape: ``(batch, samples)``, -1..1.
    """
    from headrace.media.audio.features import preprocessing as features

    return features(data)
