"""Measures of sounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.media.audio.blocks import Columns, lengths
from headrace.media.audio.samples import Samples

_FULL = 2**15
_FRAME_SECONDS = 0.032
# -60 dB of full scale. The quietest of 3,000 recorded digits is 14 dB louder.
SILENT_LEVEL = 1e-3
# Silence may have clicks, but no sample above -50 dB.
_SILENT_PEAK = 10**-2.5
# Power that rounding to int16 leaves in each bin; content stands well above it.
_ROUNDING = 1 / 12
_CONTENT = 8 * _ROUNDING
_CLIFF = 100.0
_LOWEST_HZ = 100
# A sound with a lower peak is not clipped.
_CLIPPED_PEAK = 0.9
# White and pink noise have a flatness of 0.45 to 0.98 and a level that varies by 0.1
# to 1.6 dB; speech at most 0.40, and none of it with a level as steady.
NOISE_FLATNESS, NOISE_SPREAD_DB = 0.4, 2.0


def measure(block: Samples, rate: int) -> Columns:
    """Columns of a block; see `headrace.media.audio.columns`."""
    length = lengths(block)
    safe = np.maximum(length, 1)
    high = block.max(axis=1).astype(np.int64)
    low = block.min(axis=1).astype(np.int64)
    floats = block.astype(np.float32)
    square = np.vecdot(floats, floats).astype(np.float64)
    frames = _Frames.of(floats, length, rate)
    level, spread = frames.levels()
    flatness, bandwidth, cliff = _spectral(frames, rate)
    mean = block.sum(axis=1, dtype=np.int64) / safe
    steady = np.abs(mean) > 2 * frames.spread_of(frames.means)
    swing = np.maximum(high - mean, mean - low) / _FULL
    # The beginning of the padding is one change.
    changes = np.count_nonzero(block[:, 1:] != block[:, :-1], axis=1)
    crossings = np.count_nonzero((block[:, 1:] < 0) != (block[:, :-1] < 0), axis=1)
    last = np.take_along_axis(block, safe[:, None] - 1, axis=1)[:, 0]
    crossings -= (last < 0) & (length < block.shape[1])
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
        "cliff": cliff,
        "blank": changes <= (length < block.shape[1]),
    }


def _clipped(
    block: Samples, high: npt.NDArray[np.int64], low: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
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


@dataclass(frozen=True, slots=True)
class _Frames:
    """Frames of sounds, without those that are only padding.

    Attributes:
        values: float32 ``(frames, size)``, sound after sound.
        firsts, counts: the first frame of each sound, and how many it has, ``(n,)``.
        means, rms: of each frame; the rms is that without the mean, -1..1.
    """

    values: npt.NDArray[np.float32]
    firsts: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    means: npt.NDArray[np.float64]
    rms: npt.NDArray[np.float64]

    @classmethod
    def of(
        cls, floats: npt.NDArray[np.float32], length: npt.NDArray[np.int64], rate: int
    ) -> _Frames:
        size = 1 << round(np.log2(_FRAME_SECONDS * rate))
        count, width = floats.shape
        if width < size:
            floats = np.pad(floats, ((0, 0), (0, size - width)))
        columns = floats.shape[1] // size
        counts = np.clip(length // size, 1, columns)
        used = np.arange(columns) < counts[:, None]
        values = floats[:, : columns * size].reshape(count, columns, size)[used]
        means = values.mean(axis=1, dtype=np.float64)
        squares = np.vecdot(values, values) / np.float64(size)
        rms = np.sqrt(np.maximum(squares - means**2, 0)) / _FULL
        firsts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
        return cls(values, firsts[:count], counts, means, rms)

    def mean_of(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """The mean over the frames of each sound of ``(frames, ...)``."""
        total = np.add.reduceat(values.astype(np.float64), self.firsts, axis=0)
        shape = (-1,) + (1,) * (values.ndim - 1)
        mean: npt.NDArray[np.float64] = total / self.counts.reshape(shape)
        return mean

    def spread_of(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The standard deviation over the frames of each sound, ``(n,)``."""
        middle = np.repeat(self.mean_of(values), self.counts)
        return np.sqrt(self.mean_of((values - middle) ** 2))

    def levels(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """The loudest frame's rms, and how much the level varies in dB, ``(n,)``."""
        decibels = 20 * np.log10(self.rms + 1e-5)
        return np.maximum.reduceat(self.rms, self.firsts), self.spread_of(decibels)

    def spectrum(self) -> npt.NDArray[np.float64]:
        """The mean power of each frequency, ``(n, size / 2 + 1)``."""
        window = np.hanning(self.values.shape[1] + 1)[:-1].astype(np.float32)
        level = self.values - self.means[:, None].astype(np.float32)
        bins = np.fft.rfft(level * window)
        power = bins.real**2 + bins.imag**2
        return self.mean_of(power) / float(np.vdot(window, window))


def _spectral(
    frames: _Frames, rate: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """The flatness and the bandwidth of spectra, and whether they end abruptly."""
    power = frames.spectrum()
    bins = power.shape[1]
    width = rate / frames.values.shape[1]
    lowest = max(1, round(_LOWEST_HZ / width))
    place = np.arange(bins)
    content = power > _CONTENT
    top = np.where(content.any(axis=1), bins - content[:, ::-1].argmax(axis=1), 1)
    used = (place >= lowest) & (place < np.maximum(top, lowest + 4)[:, None])
    number = used.sum(axis=1)
    logs = np.where(used, np.log(power + 1e-3), 0).sum(axis=1) / number
    mean = np.where(used, power + 1e-3, 0).sum(axis=1) / number
    edge = (place >= (0.8 * top)[:, None]) & (place < (0.95 * top)[:, None])
    below = np.where(edge, power, 0).sum(axis=1) / np.maximum(edge.sum(axis=1), 1)
    cliff = below > _CLIFF * _ROUNDING
    return np.exp(logs) / mean, (top - 1) * width, cliff
