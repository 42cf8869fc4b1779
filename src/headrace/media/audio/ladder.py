"""The robustness ladder of sounds, as `headrace.media.Ladder` describes it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from headrace.media.arrow import lengths
from headrace.media.audio.samples import Samples
from headrace.records import DataDescription

UNITS = {
    "noise": "decibels of the signal above white noise",
    "gain": "decibels",
    "shift": "seconds of silence before the sound",
    "speed": "factor",
    "low-pass": "share of the highest frequency",
    "high-pass": "share of the highest frequency",
    "pitch": "semitones",
    "mu-law": "bits of a sample",
}
LEVELS = {
    "noise": (40.0, 30.0, 20.0, 10.0, 5.0, 0.0),
    "gain": (-20.0, -12.0, -6.0, -3.0, 6.0, 12.0),
    "speed": (0.7, 0.8, 0.9, 1.1, 1.25, 1.5),
    "low-pass": (0.8, 0.6, 0.4, 0.2),
    "high-pass": (0.02, 0.05, 0.1, 0.2),
    "pitch": (-4.0, -2.0, 2.0, 4.0),
    "mu-law": (8.0, 6.0, 5.0, 4.0, 3.0),
}
_SHIFTS = (0.02, 0.05, 0.1, 0.25)  # shares of the longest sound
_FULL = 2.0**15
_WINDOW_SECONDS = 0.032  # in which the pitch of speech hardly changes
_OVERLAP = 4  # windows at any moment
_MU = 255.0


def rungs(data: DataDescription) -> list[tuple[str, float]]:
    """Families and levels; those in seconds grow with the length of the sounds."""
    seconds = data.shape[0] / data.sample_rate_hz
    levels = {**LEVELS, "shift": tuple(share * seconds for share in _SHIFTS)}
    return [(family, level) for family in UNITS for level in levels[family]]


def shifted(
    items: Samples,
    family: str,
    level: float,
    data: DataDescription,
    random: np.random.Generator,
) -> Samples:
    """Sounds int16 ``(n, samples)`` after one shift; what does not fit is cut off."""
    values = items.astype(np.float32)
    length = lengths(items)
    match family:
        case "noise":
            values += _noise(values, length, level, random)
        case "gain":
            values *= 10 ** (level / 20)
        case "shift":
            by = min(round(level * data.sample_rate_hz), values.shape[1])
            values = np.pad(values, ((0, 0), (by, 0)))[:, : items.shape[1]]
        case "speed":
            values = _resampled(values, level)
        case "low-pass" | "high-pass":
            values = _filtered(values, level, family.removesuffix("-pass"))
        case "pitch":
            values = _transposed(values, level, data.sample_rate_hz)
        case "mu-law":
            values = _companded(values, round(level))
        case _:
            raise ValueError(f"sounds have no family {family!r}")
    if family in ("low-pass", "high-pass", "pitch"):
        # What rings after the end would lengthen the sounds.
        values[np.arange(values.shape[1]) >= length[:, None]] = 0
    return np.asarray(values.round().clip(-_FULL, _FULL - 1), np.int16)


def _noise(
    values: npt.NDArray[np.float32],
    length: npt.NDArray[np.int64],
    level: float,
    random: np.random.Generator,
) -> npt.NDArray[np.float32]:
    """White noise over the length of each sound, at a level below its own."""
    inside = np.arange(values.shape[1]) < length[:, None]
    power = np.vecdot(values, values) / np.maximum(length, 1)
    scale = np.sqrt(power) * 10 ** (-level / 20)
    noise = random.normal(0, 1, values.shape).astype(np.float32)
    return np.asarray(noise * scale[:, None] * inside, np.float32)


def _resampled(
    values: npt.NDArray[np.float32], speed: float
) -> npt.NDArray[np.float32]:
    """Sounds played at another speed, by linear interpolation."""
    count = values.shape[1]
    places = np.arange(count) * speed
    low = np.minimum(places.astype(np.int64), count - 1)
    high = np.minimum(low + 1, count - 1)
    part = (places - low).astype(np.float32)
    mixed = values[:, low] * (1 - part) + values[:, high] * part
    mixed[:, places > count - 1] = 0
    return np.asarray(mixed, np.float32)


def _filtered(
    values: npt.NDArray[np.float32], share: float, kind: str
) -> npt.NDArray[np.float32]:
    """Sounds without the frequencies above (low), or below (high), a share."""
    from scipy import signal

    sections = signal.butter(8, share, kind, output="sos")
    return np.asarray(signal.sosfiltfilt(sections, values, axis=1), np.float32)


def _transposed(
    values: npt.NDArray[np.float32], semitones: float, rate: int
) -> npt.NDArray[np.float32]:
    """Sounds of another pitch and the same length, by a phase vocoder.

    They are made longer or shorter at their pitch, and played so much faster or slower.

    Source: J. L. Flanagan, R. M. Golden, Phase vocoder, Bell System Technical Journal
    45 (1966).
    """
    factor = 2 ** (semitones / 12)
    window = 2 ** round(np.log2(_WINDOW_SECONDS * rate))
    window = min(window, 2 ** int(np.log2(values.shape[1])))
    stretched = _stretched(values, factor, max(window, 2 * _OVERLAP))
    return _resampled(stretched, factor)[:, : values.shape[1]]


def _stretched(
    values: npt.NDArray[np.float32], factor: float, window: int
) -> npt.NDArray[np.float32]:
    """Sounds of ``factor`` times the length; at least as long as before."""
    from scipy import signal

    hop = window // _OVERLAP
    options = {"nperseg": window, "noverlap": window - hop}
    frames = signal.stft(values, **options)[2]
    turns_of_hop = 2 * np.pi * hop / window * np.arange(frames.shape[1])
    advance = turns_of_hop.astype(np.float32)[:, None]
    turned = np.angle(frames)
    steps = np.diff(turned, axis=2) - advance
    steps += advance - 2 * np.pi * np.rint(steps / (2 * np.pi))
    places = np.arange(0, frames.shape[2] - 1, 1 / factor)
    low = places.astype(np.int64)
    part, size = (places - low).astype(np.float32), np.abs(frames)
    sizes = size[:, :, low] * (1 - part) + size[:, :, low + 1] * part
    turns = np.cumsum(steps[:, :, low], axis=2)
    phases = np.concatenate([turned[:, :, :1], turned[:, :, :1] + turns[:, :, :-1]], 2)
    turned_on = sizes * (np.cos(phases) + 1j * np.sin(phases))
    made = signal.istft(turned_on, **options)[1]
    missing = max(0, values.shape[1] - made.shape[1])
    return np.pad(made, ((0, 0), (0, missing))).astype(np.float32)


def _companded(values: npt.NDArray[np.float32], bits: int) -> npt.NDArray[np.float32]:
    """Sounds whose samples have so many bits on the mu-law scale.

    With 8 bits it is the codec of telephones (ITU-T G.711), whose scale is this curve
    in pieces.
    """
    full, top = np.log1p(_MU), 2 ** (bits - 1) - 1
    levels = np.round(np.log1p(_MU * np.abs(values) / _FULL) / full * top) / top
    return np.asarray(
        np.sign(values) * np.expm1(levels * full) / _MU * _FULL, np.float32
    )
