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
}
_LEVELS = {
    "noise": (40.0, 30.0, 20.0, 10.0, 5.0, 0.0),
    "gain": (-20.0, -12.0, -6.0, -3.0, 6.0, 12.0),
    "speed": (0.7, 0.8, 0.9, 1.1, 1.25, 1.5),
    "low-pass": (0.8, 0.6, 0.4, 0.2),
}
_SHIFTS = (0.02, 0.05, 0.1, 0.25)  # shares of the longest sound
_FULL = 2.0**15


def rungs(data: DataDescription) -> list[tuple[str, float]]:
    """Families and levels; those in seconds grow with the length of the sounds."""
    seconds = data.shape[0] / data.sample_rate_hz
    levels = {**_LEVELS, "shift": tuple(share * seconds for share in _SHIFTS)}
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
        case "low-pass":
            values = _low_passed(values, level)
            # The filter's ringing would lengthen the sounds.
            values[np.arange(values.shape[1]) >= length[:, None]] = 0
        case _:
            raise ValueError(f"sounds have no family {family!r}")
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


def _low_passed(
    values: npt.NDArray[np.float32], share: float
) -> npt.NDArray[np.float32]:
    """Sounds without the frequencies above a share of the highest."""
    from scipy import signal

    sections = signal.butter(8, share, output="sos")
    return np.asarray(signal.sosfiltfilt(sections, values, axis=1), np.float32)
