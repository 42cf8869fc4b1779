"""The columns of sounds that the contract checks, and the default contract.

Noise is damage in a set of speech, which has no other noise; it is natural in a set of
rain and wind, which has noise of all degrees. So a sound is an outlier only where a gap
separates the few outliers from all other sounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.media.arrow import lengths
from headrace.media.audio.fingerprints import fingerprints_of
from headrace.media.audio.samples import Samples
from headrace.media.forms import Columns, Counts, Expectation, Flags, never, within
from headrace.records import DataDescription

_Floats = npt.NDArray[np.float64]

# The length of one frame of the features; shorter sounds are useless.
_SHORTEST_SECONDS = 0.05
_LARGEST_OFFSET = 0.03
# So that a block's copies as float32 stay small.
_BLOCK_SAMPLES = 2**20
_FULL = 2**15
_FRAME_SECONDS = 0.032
# -60 dB of full scale. The quietest of 3,000 recorded digits is 14 dB louder.
SILENT_LEVEL = 1e-3
# Silence may have clicks, but no sample above -50 dB.
_SILENT_PEAK = 10**-2.5
# Power that rounding to int16 leaves in each bin; content stands well above it.
_ROUNDING = 1 / 12
_CONTENT = 8 * _ROUNDING
_LOWEST_HZ = 100
# A sound with a lower peak is not clipped.
_CLIPPED_PEAK = 0.9
# White and pink noise have a flatness of 0.45 to 0.98 and a level that varies by 0.1
# to 1.6 dB; speech at most 0.40, and none of it with a level as steady.
NOISE_FLATNESS, NOISE_SPREAD_DB = 0.4, 2.0
# Fewer sounds have no outliers.
_LEAST_SOUNDS = 20
# The share of sounds that may lie in the gap.
_GAP_SHARE = 0.01
# Noise in half of a class is natural for the class.
_CLASS_SHARE = 0.5
_FLATNESS, _SPREAD_DB = 0.25, 3.0
_CLIPPED, _SOMEWHAT_CLIPPED, _RUINED = 0.02, 0.002, 0.2


def columns(payload: Samples, labels: Sequence[str], data: DataDescription) -> Columns:
    """The columns that the contract checks, of sounds int16 ``(n, samples)``.

    Returns:
        arrays ``(n,)``. float64: ``seconds`` (to the last sample that is not zero),
        ``rms`` and ``peak`` (0..1), ``dc_offset`` (the mean, -1..1; 0 where it is not
        steady), ``clipped_share`` (samples that stay at the loudest value),
        ``silent_share`` (32 ms frames below -60 dB), ``zero_crossing_rate``,
        ``flatness`` (of the spectrum: 1 is white noise), ``level_spread_db`` and
        ``bandwidth_hz`` (where the content ends). bool: ``blank`` (all values are
        equal), ``silence``, ``noise``, and the outliers ``mostly_noise`` and
        ``clipped``.
    """
    measures = in_blocks(_measures, payload, data.sample_rate_hz)
    return {**measures, **_outliers(measures, labels)}


def fingerprints(payload: Samples, data: DataDescription) -> npt.NDArray[np.uint64]:
    """Those of sounds int16 ``(n, samples)``, ``(n,)``; see `fingerprints_of`."""
    return in_blocks(fingerprints_of, payload, data.sample_rate_hz)["fingerprint"]


def in_blocks(
    function: Callable[[Samples, int], Columns], payload: Samples, rate: int
) -> Columns:
    """The columns that a function computes, of sounds ``(n, samples)`` in blocks."""
    length = lengths(payload)
    order = np.argsort(length, kind="stable")
    parts: list[Columns] = []
    start = 0
    while start < len(order) or not parts:
        # The longest sound of a block may be twice as long as the shortest.
        longest = 2 * max(int(length[order[start : start + 1]].sum()), rate // 16, 1)
        rows = order[start : start + max(1, _BLOCK_SAMPLES // longest)]
        rows = rows[length[rows] <= longest]
        width = max(1, int(length[rows].max(initial=0)))
        parts.append(function(payload[rows, :width], rate))
        start += max(1, len(rows))
    # Where each sound's row is among the blocks, one after the other.
    places = np.argsort(order)
    return {
        name: np.concatenate([part[name] for part in parts])[places]
        for name in parts[0]
    }


def expectations(data: DataDescription) -> list[Expectation]:
    """The default contract on those columns."""
    shortest = min(_SHORTEST_SECONDS, data.shape[0] / (2 * data.sample_rate_hz))
    return [
        never("silence", "nothing in it is louder than -60 dB", warns=False),
        within(
            "too_short",
            "seconds",
            f"it is shorter than {shortest:g} s",
            min_value=shortest,
        ),
        within(
            "dc_offset",
            "dc_offset",
            "its samples do not swing around zero",
            warns=True,
            min_value=-_LARGEST_OFFSET,
            max_value=_LARGEST_OFFSET,
        ),
        never("mostly_noise", "it is noise, and the others of its class are not"),
        never("clipped", "it was too loud for what recorded or scaled it"),
    ]


def _measures(block: Samples, rate: int) -> Columns:
    """The columns of a block, without outliers."""
    length = lengths(block)
    safe, padded = np.maximum(length, 1), length < block.shape[1]
    high, low = (edge(axis=1).astype(np.int64) for edge in (block.max, block.min))
    floats = block.astype(np.float32)
    square = np.vecdot(floats, floats).astype(np.float64)
    frames = _Frames(floats, length, rate)
    level, spread = frames.levels()
    flatness, bandwidth = _spectral(frames, rate)
    mean = block.sum(axis=1, dtype=np.int64) / safe
    steady = np.abs(mean) > 2 * frames.spread_of(frames.means)
    swing = np.maximum(high - mean, mean - low) / _FULL
    # The beginning of the padding is one change.
    changes = np.count_nonzero(block[:, 1:] != block[:, :-1], axis=1)
    crossings = np.count_nonzero((block[:, 1:] < 0) != (block[:, :-1] < 0), axis=1)
    last = np.take_along_axis(block, safe[:, None] - 1, axis=1)[:, 0]
    crossings -= (last < 0) & padded
    return {
        "seconds": length / rate,
        "rms": np.sqrt(square / safe) / _FULL,
        "peak": np.maximum(high, -low) / _FULL,
        "dc_offset": np.where(steady, mean / _FULL, 0.0),
        "clipped_share": _clipped(block, high, low) / safe,
        "silent_share": frames.mean_of(frames.rms < SILENT_LEVEL),
        "silence": (level < SILENT_LEVEL) & (swing < _SILENT_PEAK),
        "zero_crossing_rate": crossings / safe,
        "flatness": flatness,
        "level_spread_db": spread,
        "noise": (flatness >= NOISE_FLATNESS) & (spread <= NOISE_SPREAD_DB),
        "bandwidth_hz": bandwidth,
        "blank": changes <= padded,
    }


def _clipped(block: Samples, high: Counts, low: Counts) -> Counts:
    """The number of samples in runs at the loudest value, ``(n,)``."""
    count = np.zeros(len(block), np.int64)
    for limit in (high, low):
        rows = np.flatnonzero(np.abs(limit) >= _CLIPPED_PEAK * _FULL)
        at = block[rows] == limit[rows, None]
        run = at.copy()
        run[:, 1:] &= at[:, :-1]
        run[:, :-1] |= run[:, 1:]
        count[rows] += np.count_nonzero(run, axis=1)
    return count


class _Frames:
    """Frames of sounds, without those that are only padding.

    Attributes:
        values: float32 ``(frames, size)``, sound after sound.
        firsts, counts: the first frame of each sound, and how many it has, ``(n,)``.
        means, rms: of each frame; the rms is that without the mean, -1..1.
    """

    def __init__(
        self, floats: npt.NDArray[np.float32], length: Counts, rate: int
    ) -> None:
        size = 1 << round(np.log2(_FRAME_SECONDS * rate))
        count, width = floats.shape
        if width < size:
            floats = np.pad(floats, ((0, 0), (0, size - width)))
        columns = floats.shape[1] // size
        self.counts = np.clip(length // size, 1, columns)
        used = np.arange(columns) < self.counts[:, None]
        frames = floats[:, : columns * size].reshape(count, columns, size)
        self.values = frames[used]
        self.firsts = np.cumsum(self.counts) - self.counts
        self.means = self.values.mean(axis=1, dtype=np.float64)
        squares = np.vecdot(self.values, self.values) / np.float64(size)
        self.rms = np.sqrt(np.maximum(squares - self.means**2, 0)) / _FULL

    def mean_of(self, values: npt.NDArray[Any]) -> _Floats:
        """The mean over the frames of each sound of ``(frames, ...)``."""
        total = np.add.reduceat(values.astype(np.float64), self.firsts, axis=0)
        shape = (-1,) + (1,) * (values.ndim - 1)
        return np.asarray(total / self.counts.reshape(shape))

    def spread_of(self, values: _Floats) -> _Floats:
        """The standard deviation over the frames of each sound, ``(n,)``."""
        middle = np.repeat(self.mean_of(values), self.counts)
        return np.sqrt(self.mean_of((values - middle) ** 2))

    def levels(self) -> tuple[_Floats, _Floats]:
        """The loudest frame's rms, and how much the level varies in dB, ``(n,)``."""
        decibels = 20 * np.log10(self.rms + 1e-5)
        return np.maximum.reduceat(self.rms, self.firsts), self.spread_of(decibels)

    def spectrum(self) -> _Floats:
        """The mean power of each frequency, ``(n, size / 2 + 1)``."""
        window = np.hanning(self.values.shape[1] + 1)[:-1].astype(np.float32)
        level = self.values - self.means[:, None].astype(np.float32)
        bins = np.fft.rfft(level * window)
        power = bins.real**2 + bins.imag**2
        return self.mean_of(power) / float(np.vdot(window, window))


def _spectral(frames: _Frames, rate: int) -> tuple[_Floats, _Floats]:
    """The flatness and the bandwidth of spectra."""
    power = frames.spectrum()
    bins = power.shape[1]
    width = rate / frames.values.shape[1]
    lowest = max(1, round(_LOWEST_HZ / width))
    place = np.arange(bins)
    content = power > _CONTENT
    top = np.maximum(lengths(content), 1)
    used = (place >= lowest) & (place < np.maximum(top, lowest + 4)[:, None])
    number = used.sum(axis=1)
    logs = np.where(used, np.log(power + 1e-3), 0).sum(axis=1) / number
    mean = np.where(used, power + 1e-3, 0).sum(axis=1) / number
    return np.exp(logs) / mean, (top - 1) * width


def _outliers(columns: Columns, labels: Sequence[str]) -> Columns:
    """The columns ``mostly_noise`` and ``clipped``."""
    sounding = ~(columns["blank"] | columns["silence"])
    return {
        "mostly_noise": _mostly_noise(columns, sounding, labels),
        "clipped": _too_loud(columns, sounding),
    }


def _has_gap(outliers: Flags, in_gap: Flags, sounding: Flags) -> bool:
    count = np.count_nonzero(sounding)
    gap = np.count_nonzero(in_gap & sounding & ~outliers)
    is_narrow = gap <= max(1.0, _GAP_SHARE * count)
    return bool(count >= _LEAST_SOUNDS and outliers.any() and is_narrow)


def _mostly_noise(columns: Columns, sounding: Flags, labels: Sequence[str]) -> Flags:
    noise = columns["noise"] & sounding
    in_gap = columns["flatness"] >= _FLATNESS
    in_gap &= columns["level_spread_db"] <= _SPREAD_DB
    if not _has_gap(noise, in_gap, sounding):
        return np.zeros(len(noise), bool)
    _, classes = np.unique(np.asarray(labels, object).astype(str), return_inverse=True)
    sizes = np.bincount(classes[sounding], minlength=int(classes.max()) + 1)
    noises = np.bincount(classes[noise], minlength=len(sizes))
    # The sound itself is left out of the share of its class.
    others = np.maximum(sizes[classes] - 1, 1)
    is_natural: Flags = (noises[classes] - 1) / others >= _CLASS_SHARE
    return np.asarray(noise & ~is_natural)


def _too_loud(columns: Columns, sounding: Flags) -> Flags:
    share = columns["clipped_share"]
    clipped = (share >= _CLIPPED) & sounding
    if _has_gap(clipped, share >= _SOMEWHAT_CLIPPED, sounding):
        return clipped
    return sounding & (share >= _RUINED)
