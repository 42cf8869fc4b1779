"""How far recordings and answers are from each other, in decibels.

A sound is compared by its profile: the log-magnitude spectrum from its first to its
last sample, below its loudest value by `RANGE_DB` at most, brought to `STEPS` steps in
time by linear interpolation. So neither its length nor its level counts. The distance
of two sounds is the root mean square of the difference of their profiles, the
log-spectral distance. On spoken digits, two takes of one speaker are 9.7 dB apart, the
nearest pairs 4.3; a copy, whose phases the vocoder has changed, is within 2.6 of its
original.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from headrace.media.audio.spectra import Framing, magnitudes

STEPS = 32
RANGE_DB = 60.0
MOST_BINS = 129  # neighbouring ones are averaged where there are more
_ROWS = 256
Floats = npt.NDArray[np.float32]


def lengths(sounds: Floats) -> npt.NDArray[np.int64]:
    """The samples up to the last one that is not zero, ``(n,)``; at least one."""
    heard = sounds != 0
    ends = sounds.shape[1] - np.argmax(heard[:, ::-1], axis=1)
    return np.where(heard.any(axis=1), ends, 1)


def bins_of(framing: Framing) -> int:
    """The number of bins of a profile."""
    return -(-framing.bins // _width(framing))


def _width(framing: Framing) -> int:
    """How many bins of a spectrum are averaged."""
    return -(-framing.bins // MOST_BINS)


def profiles(sounds: Floats, framing: Framing) -> Floats:
    """The profiles of sounds, in decibels from `RANGE_DB` below zero to zero.

    Args:
        sounds: float32 ``(n, samples)``; zeros at the end are padding.
        framing: of them.

    Returns:
        float32 ``(n, STEPS, bins)``.
    """
    bins, width = bins_of(framing), _width(framing)
    decibels = np.empty((len(sounds), STEPS, bins), np.float32)
    for first in range(0, len(sounds), _ROWS):
        part = sounds[first : first + _ROWS]
        spectra = magnitudes(part, framing)
        spectra = np.pad(spectra, ((0, 0), (0, 0), (0, bins * width - framing.bins)))
        power = np.square(spectra).reshape(*spectra.shape[:2], bins, width).mean(3)
        ends = framing.frames_in(lengths(part))
        for row, end in enumerate(ends.tolist()):
            own = power[row, :end]
            least = 10 ** (-RANGE_DB / 10)
            level = np.maximum(own / max(float(own.max()), 1e-12), least)
            decibels[first + row] = stretched(10 * np.log10(level), STEPS)
    return decibels


def stretched(frames: Floats, count: int) -> Floats:
    """Frames ``(n, bins)`` as another number of frames, by linear interpolation."""
    places = np.linspace(0, len(frames) - 1, count)
    before = np.floor(places).astype(np.int64)
    after = np.minimum(before + 1, len(frames) - 1)
    share = (places - before)[:, np.newaxis].astype(np.float32)
    mixed: Floats = frames[before] * (1 - share) + frames[after] * share
    return mixed


def distances(first: Floats, second: Floats) -> Floats:
    """The distance of each profile to each other one, dB ``(n, m)``.

    Args:
        first: ``(n, ...)``.
        second: ``(m, ...)``.
    """
    one = first.reshape(len(first), -1).astype(np.float64)
    other = second.reshape(len(second), -1).astype(np.float64)
    squares = (one**2).sum(1)[:, np.newaxis] + (other**2).sum(1) - 2 * one @ other.T
    size = max(1, one.shape[1])
    return np.asarray(np.sqrt(np.maximum(squares, 0) / size), np.float32)


def pairwise(first: Floats, second: Floats) -> Floats:
    """The distance of each profile to the one in the same row, dB ``(n,)``."""
    difference = (first - second).reshape(len(first), -1).astype(np.float64)
    return np.asarray(np.sqrt(np.square(difference).mean(1)), np.float32)


def global_variance(profiles_: Floats) -> Floats:
    """The variance over time of each bin, averaged over sounds, dB^2 ``(bins,)``.

    Source: T. Toda and K. Tokuda, "A speech parameter generation algorithm considering
    global variance for HMM-based speech synthesis", IEICE Transactions 2007. Averaged
    spectra vary less than real ones, and sound muffled.
    """
    return np.asarray(profiles_.var(axis=1).mean(axis=0), np.float32)
