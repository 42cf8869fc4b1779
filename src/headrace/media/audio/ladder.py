"""The robustness ladder of sounds, as `headrace.media.Ladder` describes it."""

from __future__ import annotations

import numpy as np

from headrace.media.arrow import lengths
from headrace.media.audio.samples import Samples
from headrace.records import DataDescription

UNITS = {
    "noise": "decibels of the signal above white noise",
    "gain": "decibels",
    "low-pass": "share of the highest frequency",
}
LEVELS = {
    "noise": (40.0, 30.0, 20.0, 10.0, 5.0, 0.0),
    "gain": (-20.0, -12.0, -6.0, -3.0, 6.0, 12.0),
    "low-pass": (0.8, 0.6, 0.4, 0.2),
}
_FULL = 2.0**15


def rungs(data: DataDescription) -> list[tuple[str, float]]:
    """All families, each with all of its levels, for any data."""
    return [(family, level) for family in UNITS for level in LEVELS[family]]


def shifted(
    items: Samples,
    family: str,
    level: float,
    data: DataDescription,
    random: np.random.Generator,
) -> Samples:
    """Sounds int16 ``(n, samples)`` after one shift, as long as they were."""
    from scipy import signal

    values = items.astype(np.float32)
    length = lengths(items)
    match family:
        case "noise":
            power = np.vecdot(values, values) / np.maximum(length, 1)
            scale = np.sqrt(power) * 10 ** (-level / 20)
            noise = random.normal(0, 1, values.shape).astype(np.float32)
            values += np.asarray(noise * scale[:, None], np.float32)
        case "gain":
            values *= 10 ** (level / 20)
        case "low-pass":
            sections = signal.butter(8, level, "low", output="sos")
            values = signal.sosfiltfilt(sections, values, axis=1).astype(np.float32)
        case _:
            raise ValueError(f"sounds have no family {family!r}")
    # What rings or hisses after the end would lengthen the sounds.
    values[np.arange(values.shape[1]) >= length[:, None]] = 0
    return np.asarray(values.round().clip(-_FULL, _FULL - 1), np.int16)
