"""Magnitude spectra of sounds, and sounds from them.

A spectrum has a frame every quarter of a window of about 32 ms, which shows the
harmonics of a voice. Its magnitudes are divided by the sum of the window, so that they
do not depend on its length: a sine has half of its amplitude.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.records import DataDescription

WINDOW_SECONDS = 0.032
HOPS = 4  # in a window
ITERATIONS = 20
MOMENTUM = 0.99
_SEED = 1984  # of the first phases
_ROWS = 256  # computed together
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Framing:
    """How sounds of one length and rate are cut into frames.

    Attributes:
        samples: of a sound.
        rate_hz: samples in a second.
        window, hop: samples in a frame, and from one frame to the next.
        frames: their number, which is even; the first is centred at the first sample.
    """

    samples: int
    rate_hz: int
    window: int
    hop: int
    frames: int

    @classmethod
    def of(cls, data: DataDescription) -> Framing:
        """The framing of a data set, by its shape ``(samples,)`` and sample rate.

        Raises:
            ValueError: there is no sample rate, or a sound is shorter than a window.
        """
        samples, rate = data.shape[0], data.sample_rate_hz
        window = 2 ** round(math.log2(max(16.0, WINDOW_SECONDS * rate)))
        if rate < 1 or samples < window:
            raise ValueError(
                f"sounds of {samples:,} samples at {rate:,} Hz have no spectrum: at "
                f"least a window of {window:,} samples is needed"
            )
        hop = window // HOPS
        pairs = -(-(1 + -(-samples // hop)) // 2)
        return cls(samples, rate, window, hop, 2 * pairs)

    @property
    def bins(self) -> int:
        """The number of frequencies in a frame."""
        return self.window // 2 + 1

    @property
    def frame_seconds(self) -> float:
        """The time from one frame to the next."""
        return self.hop / self.rate_hz

    def frames_in(self, samples: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The numbers of frames that so many samples have a part in."""
        frames = np.ceil(samples / self.hop).astype(np.int64)
        return np.clip(frames, 1, self.frames)


def magnitudes(sounds: Floats, framing: Framing) -> Floats:
    """The magnitudes of sounds, by a Hann window.

    Args:
        sounds: float32 ``(n, samples)``.
        framing: of them.

    Returns:
        float32 ``(n, frames, bins)``.
    """
    width, hop, count = framing.window, framing.hop, framing.frames
    window = np.hanning(width + 1)[:-1].astype(np.float32)
    spectra = np.empty((len(sounds), count, framing.bins), np.float32)
    end = (count - 1) * hop + width - width // 2 - framing.samples
    for first in range(0, len(sounds), _ROWS):
        part = sounds[first : first + _ROWS]
        padded = np.pad(part, ((0, 0), (width // 2, max(0, end))))
        frames = np.lib.stride_tricks.sliding_window_view(padded, width, axis=1)
        cut = frames[:, : count * hop : hop][:, :count] * window
        spectra[first : first + _ROWS] = np.abs(np.fft.rfft(cut)) / window.sum()
    return spectra


def sounds_of(spectra: Any, framing: Framing) -> Any:
    """Sounds with given magnitudes, in `keras.ops`; the same for the same spectra.

    The phases are found by the fast Griffin-Lim algorithm (N. Perraudin, P. Balazs and
    P. L. Sondergaard, "A fast Griffin-Lim algorithm", WASPAA 2013).

    Args:
        spectra: a tensor ``(batch, frames, bins)``, as `magnitudes` gives them.
        framing: of them.

    Returns:
        a float32 tensor ``(batch, samples)``.
    """
    from keras import ops

    width, hop = framing.window, framing.hop
    length = (framing.frames - 1) * hop
    random = np.random.default_rng(_SEED)
    shape = (framing.frames, framing.bins)
    phases = random.uniform(0, 2 * np.pi, shape)
    wanted = ops.multiply(spectra, width / 2)  # the sum of a Hann window
    real = ops.multiply(wanted, np.cos(phases).astype(np.float32))
    imaginary = ops.multiply(wanted, np.sin(phases).astype(np.float32))
    before: tuple[Any, Any] | None = None
    for _ in range(ITERATIONS):
        sound = ops.istft((real, imaginary), width, hop, width, length=length)
        now = ops.stft(sound, width, hop, width)
        real, imaginary = now
        if before is not None:
            real = real + MOMENTUM * (real - before[0])
            imaginary = imaginary + MOMENTUM * (imaginary - before[1])
        before = now
        size = ops.sqrt(ops.square(real) + ops.square(imaginary))
        scale = wanted / ops.maximum(size, 1e-6)
        real, imaginary = real * scale, imaginary * scale
    sound = ops.istft((real, imaginary), width, hop, width, length=length)
    return sound[:, : framing.samples]
