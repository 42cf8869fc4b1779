"""Fingerprints of sounds: 64 bits that hardly change when a sound is encoded again.

A fingerprint is made from the second around the middle of a sound's energy, so that
silence before or after it matters little. The levels in 32 bands are differentiated
over bands and frames, so that loudness and colour matter little. Each bit is the sign
of their sum under one of 64 fixed patterns.

Measured on 3,000 spoken digits, 4.5 million pairs, 73,500 of them one person saying
one word twice: none differs in 2 bits or fewer, 179 in 8 or fewer; none of those has a
similarity of 0.94. Copies that are quieter, 5 to 100 ms later or of 8 bits by mu-law
differ in 3 bits at most; through OGG and MP3 in 2 or fewer every other time, in 8 or
fewer nearly always, with a similarity of 0.96 or more.
"""

from __future__ import annotations

import functools
import hashlib
import math

import numpy as np
import numpy.typing as npt

from headrace.media.arrow import lengths
from headrace.media.audio.samples import Samples
from headrace.media.forms import Columns, Flags
from headrace.records import DataDescription

# The least similarity of copies. Sounds that are no copies, such as tones, reach 0.956.
SIMILAR = 0.96
_SECONDS = 1.0
_FRAME_SECONDS, _HOP_SECONDS = 0.128, 0.032
_BANDS = 32
# The band that the narrowest codecs keep.
_LOWEST_HZ, _HIGHEST_HZ = 150, 3_600
_FLOOR = 1e-3
_BITS = 64
_Floats = npt.NDArray[np.float32]


def fingerprints_of(block: Samples, rate: int) -> Columns:
    """The column ``fingerprint`` of sounds ``(n, samples)``: uint64 ``(n,)``."""
    detail = _detail(block, rate)
    signs = detail @ _patterns(detail.shape[1]) > 0
    return {"fingerprint": np.packbits(signs, axis=1).view(np.uint64)[:, 0]}


def alike(first: Samples, second: Samples, data: DataDescription) -> Flags:
    """Which of pairs ``(n, samples)`` with near fingerprints are copies, ``(n,)``.

    Their details are compared, which is slower and more exact than fingerprints.
    """
    one, other = (_detail(block, data.sample_rate_hz) for block in (first, second))
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.asarray(np.vecdot(one, other) / np.maximum(norms, 1e-9) >= SIMILAR)


def _detail(block: Samples, rate: int) -> _Floats:
    levels = _levels(block, rate)
    highest = np.maximum(levels.max(axis=(1, 2), keepdims=True), 1e-12)
    rough = np.log10(levels / highest + _FLOOR)
    detail: _Floats = np.diff(np.diff(rough, axis=1), axis=2)
    return detail.reshape(len(block), math.prod(detail.shape[1:]))


def _levels(block: Samples, rate: int) -> _Floats:
    """Power of each frame in each band, ``(n, frames, bands)``."""
    size, hop = _frame(rate), max(1, round(_HOP_SECONDS * rate))
    count = round(_SECONDS * rate) // hop + 1
    floats, length = block.astype(np.float32), lengths(block)[:, None]
    # The middle of the energy of each sound.
    energy = floats * floats
    moment = energy @ np.arange(floats.shape[1], dtype=np.float32)
    middle = np.rint(moment / np.maximum(energy.sum(axis=1), 1)).astype(np.int64)
    first = middle - (count // 2 * hop + size // 2)
    begins = first[:, None] + np.arange(count) * hop
    used = (begins < length) & (begins + size > 0)
    # Zeros on both sides, so that every used frame lies inside.
    padded = np.pad(floats, ((0, 0), (size, size)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size, axis=1)
    used_frames = frames[np.nonzero(used)[0], begins[used] + size]
    bins = np.fft.rfft(used_frames * np.hanning(size).astype(np.float32))
    power = (bins.real**2 + bins.imag**2).astype(np.float32, copy=False)
    levels = np.zeros((*used.shape, _BANDS), np.float32)
    levels[used] = power @ _filters(rate)
    return levels


def _frame(rate: int) -> int:
    return max(16, 1 << round(math.log2(_FRAME_SECONDS * rate)))


@functools.cache
def _filters(rate: int) -> _Floats:
    """Triangular filters evenly spaced in mel, ``(size / 2 + 1, bands)``."""
    size = _frame(rate)
    ends = np.array([_LOWEST_HZ, min(_HIGHEST_HZ, 0.45 * rate)])
    low, high = 2595 * np.log10(1 + ends / 700)
    edges = np.linspace(low, high, _BANDS + 2)
    mel = 2595 * np.log10(1 + np.arange(size // 2 + 1) * rate / size / 700)[:, None]
    width = edges[1] - edges[0]
    distance = np.abs(mel - edges[1:-1])
    return np.asarray(np.clip(1 - distance / width, 0, None), np.float32)


@functools.cache
def _patterns(count: int) -> _Floats:
    """Fixed signs, ``(count, 64)``."""
    drawn = hashlib.shake_128(b"headrace").digest(count * _BITS // 8)
    bits = np.unpackbits(np.frombuffer(drawn, np.uint8)).reshape(count, _BITS)
    return bits.astype(np.float32) * 2 - 1
