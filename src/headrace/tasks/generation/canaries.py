"""Canaries: random texts that are planted in train, to measure what a model memorises.

A canary occurs once. A model that has learned only what is general finds it no likelier
than other texts drawn in the same way. Its exposure is minus the binary logarithm of
the share of such texts that are likelier, by a normal distribution that is fitted to
theirs. The mean exposure of texts that were not planted is about 1.4 bits. A text can
be extracted where its exposure is as large as its entropy: 96 bits for 16 characters of
an alphabet of 64.

Source: N. Carlini and others, The Secret Sharer: Evaluating and Testing Unintended
Memorization in Neural Networks (2019).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from headrace.tasks.generation.writing import FIRST

LENGTH = 16  # characters
OTHERS = 4_095
_ALPHABET = 64  # the most frequent characters

Ids = npt.NDArray[np.int32]


def canaries(count: int, seed: int, characters: int) -> Ids:
    """The canaries of a fit as ids, int32 ``(count, LENGTH)``.

    Args:
        count: of them.
        seed: of the fit.
        characters: that the model knows; ids follow their frequency.
    """
    return _drawn(count, [seed, 0], characters)


def others(seed: int, characters: int) -> Ids:
    """Texts that were drawn in the same way, and not planted, ``(OTHERS, LENGTH)``."""
    return _drawn(OTHERS, [seed, 1], characters)


def _drawn(count: int, seed: list[int], characters: int) -> Ids:
    source = np.random.default_rng(seed)
    alphabet = max(1, min(_ALPHABET, characters))
    drawn = source.integers(FIRST, FIRST + alphabet, (count, LENGTH))
    return drawn.astype(np.int32)


def entropy(characters: int) -> float:
    """The entropy of a canary in bits, for a model that knows so many characters."""
    return LENGTH * math.log2(max(1, min(_ALPHABET, characters)))


def exposures(
    planted: npt.NDArray[np.float64], not_planted: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The exposure of each canary in bits.

    Args:
        planted: the nats of the canaries, ``(count,)``.
        not_planted: the nats of other texts, ``(n,)``.
    """
    from scipy import special

    scores = (planted - not_planted.mean()) / not_planted.std(ddof=1)
    return np.asarray(-special.log_ndtr(scores) / math.log(2))
