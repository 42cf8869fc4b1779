"""The baseline: the average of the recordings of a text by a speaker.

All takes are brought to their mean length, and the logarithms of their spectra are
averaged. It has no variation, and sounds dull.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from headrace.media.audio.spectra import Framing, magnitudes, sounds_of
from headrace.records import DataDescription
from headrace.tasks.synthesis.distances import lengths, stretched

FRAMES = 64  # to which a take is brought for the average
_LEAST = 1e-4
_ROWS = 64
Floats = npt.NDArray[np.float32]
Key = tuple[int, int]


class Templates:
    """Averages of recordings.

    Args:
        data: of the recordings.

    Attributes:
        takes: the number of each text and speaker, by their indices.
    """

    def __init__(self, data: DataDescription) -> None:
        self._data, self._framing = data, Framing.of(data)
        self._sums: dict[Key, Floats] = {}
        self._frames: dict[Key, int] = {}
        self.takes: dict[Key, int] = {}

    def add(self, sounds: Floats, keys: Iterable[Key]) -> None:
        """Add recordings ``(n, samples)`` with the text and the speaker of each."""
        ends = self._framing.frames_in(lengths(sounds)).tolist()
        listed = list(keys)
        for first in range(0, len(sounds), _ROWS):
            rows = slice(first, first + _ROWS)
            spectra = magnitudes(sounds[rows], self._framing)
            own = zip(spectra, ends[rows], listed[rows], strict=True)
            for spectrum, end, key in own:
                level = stretched(np.log(spectrum[:end] + _LEAST), FRAMES)
                before = self._sums.get(key)
                self._sums[key] = level if before is None else before + level
                self._frames[key] = self._frames.get(key, 0) + end
                self.takes[key] = self.takes.get(key, 0) + 1

    def sounds(self, keys: Iterable[Key]) -> dict[Key, Floats]:
        """The averages of some texts and speakers, ``(samples,)`` each."""
        wanted = [key for key in dict.fromkeys(keys) if key in self.takes]
        made: dict[Key, Floats] = {}
        for first in range(0, len(wanted), _ROWS):
            part = wanted[first : first + _ROWS]
            shape = (len(part), self._framing.frames, self._framing.bins)
            spectra = np.zeros(shape, np.float32)
            ends = []
            for row, key in enumerate(part):
                takes = self.takes[key]
                end = max(2, round(self._frames[key] / takes))
                mean_level = np.asarray(self._sums[key] / takes, np.float32)
                mean = np.exp(stretched(mean_level, end)) - _LEAST
                spectra[row, :end] = np.maximum(mean, 0)
                ends.append(end * self._framing.hop)
            waves = np.array(np.asarray(sounds_of(spectra, self._framing)))
            for wave, end, key in zip(waves, ends, part, strict=True):
                wave[end:] = 0
                made[key] = wave
        return made
