"""Measures of texts: variety, repetition, what is verbatim in others, and canaries.

A canary is a random text that is planted in train once, to measure what a model
memorises. A model that has learned only what is general finds it no likelier than other
texts drawn in the same way. Its exposure is minus the binary logarithm of the share of
such texts that are likelier, by a normal distribution that is fitted to theirs. The
mean exposure of texts that were not planted is about 1.4 bits. A text can be extracted
where its exposure is as large as its entropy: 96 bits for 16 characters of an alphabet
of 64.

Source: N. Carlini and others, The Secret Sharer: Evaluating and Testing Unintended
Memorization in Neural Networks (2019).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from headrace.tasks.generation.writing import FIRST

Codes: TypeAlias = npt.NDArray[np.int32]
Ints: TypeAlias = npt.NDArray[np.int64]
Hashes: TypeAlias = npt.NDArray[np.uint64]

GRAM = 4  # characters
_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse
_BITS = 2**64
CANARY_LENGTH = 16  # characters
OTHER_CANARIES = 4_095
_ALPHABET = 64  # the most frequent characters
Ids = npt.NDArray[np.int32]


def grams(text: str, length: int = GRAM) -> list[str]:
    """The runs of some characters of a text."""
    return [text[start : start + length] for start in range(len(text) - length + 1)]


def distinct_share(texts: Sequence[str], length: int = GRAM) -> float:
    """The share of runs of all texts together that differ; 1 where there are none.

    It falls with the amount of text: compare texts of the same sizes. Source: J. Li and
    others, A Diversity-Promoting Objective Function for Neural Conversation Models
    (2016).
    """
    every = [gram for text in texts for gram in grams(text, length)]
    return len(set(every)) / len(every) if every else 1.0


def repetition(texts: Sequence[str], length: int = GRAM) -> float:
    """The mean share of the runs of a text that are in it before; 0 where it has none.

    Source: S. Welleck and others, Neural Text Generation with Unlikelihood Training
    (2020).
    """
    shares = [
        1 - len(set(own)) / len(own) for text in texts if (own := grams(text, length))
    ]
    return sum(shares) / len(shares) if shares else 0.0


class Corpus:
    """Documents that runs of other texts are looked for in.

    Runs are compared by a hash of 64 bits. The hashes of one length are in memory at a
    time, 8 bytes for each character.

    Args:
        documents: code points ``(characters,)`` each, none of them 0.
    """

    def __init__(self, documents: Sequence[Codes]) -> None:
        self._codes = _joined(documents)

    def longest_runs(self, texts: Sequence[Codes]) -> Ints:
        """The length of the longest run of each text that a document has, ``(n,)``."""
        sizes = np.array([len(text) for text in texts], np.int64)
        # A run of some length has runs of all shorter lengths: bisection finds it.
        low, high = np.zeros_like(sizes), sizes.copy()
        while (open_ := low < high).any():
            middles = (low + high + 1) // 2
            length = int(np.sort(middles[open_])[open_.sum() // 2])
            asked = np.flatnonzero(open_ & (low < length) & (length <= high))
            hashes = np.sort(_hashes(self._codes, length))
            has = self._contains(hashes, [texts[row] for row in asked.tolist()], length)
            low[asked[has]] = length
            high[asked[~has]] = length - 1
        return low

    @staticmethod
    def _contains(
        corpus: Hashes, texts: Sequence[Codes], length: int
    ) -> npt.NDArray[np.bool_]:
        """Which texts, of at least ``length`` characters, have a run of the corpus."""
        counts = [len(text) - length + 1 for text in texts]
        hashes = np.concatenate([_hashes(text, length) for text in texts])
        places = np.minimum(np.searchsorted(corpus, hashes), max(len(corpus) - 1, 0))
        hits = corpus[places] == hashes if len(corpus) else np.zeros(len(hashes), bool)
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        return np.asarray(np.logical_or.reduceat(hits, starts))


def _joined(documents: Sequence[Codes]) -> Codes:
    bound = np.zeros(1, np.int32)
    parts = [part for document in documents for part in (document, bound)]
    return np.concatenate([np.empty(0, np.int32), *parts])


def _hashes(codes: Codes, length: int) -> Hashes:
    """The hash of each run of ``length`` characters, ``(characters - length + 1,)``.

    It doubles the length of the runs, so it takes time by the logarithm of the length.
    """
    if len(codes) < length:
        return np.empty(0, np.uint64)
    total, have = np.zeros(len(codes) + 1, np.uint64), 0
    # `power` runs of a power of two; `total` those of the low bits of the length.
    power, size, factor = _mixed(codes), 1, _BASE
    for bit in f"{length:b}"[::-1]:
        if bit == "1":
            count = len(codes) - have - size + 1
            tail = power[have : have + count]
            total = total[:count] * np.uint64(factor) + tail if have else tail
            have += size
        if have == length:
            break
        count = len(power) - size
        power = power[:count] * np.uint64(factor) + power[size : size + count]
        size, factor = 2 * size, factor * factor % _BITS
    return total


def _mixed(codes: Codes) -> Hashes:
    values = codes.astype(np.uint64) + np.uint64(1)
    values = (values ^ (values >> np.uint64(15))) * np.uint64(0xBF58476D1CE4E5B9)
    return values ^ (values >> np.uint64(27))


def canaries(count: int, seed: int, characters: int) -> Ids:
    """The canaries of a fit as ids, int32 ``(count, CANARY_LENGTH)``.

    Args:
        count: of them.
        seed: of the fit.
        characters: that the model knows; ids follow their frequency.
    """
    return _drawn(count, [seed, 0], characters)


def other_canaries(seed: int, characters: int) -> Ids:
    """Texts drawn in the same way, and not planted, ``(4_095, CANARY_LENGTH)``."""
    return _drawn(OTHER_CANARIES, [seed, 1], characters)


def _drawn(count: int, seed: list[int], characters: int) -> Ids:
    source = np.random.default_rng(seed)
    alphabet = max(1, min(_ALPHABET, characters))
    drawn = source.integers(FIRST, FIRST + alphabet, (count, CANARY_LENGTH))
    return drawn.astype(np.int32)


def entropy(characters: int) -> float:
    """The entropy of a canary in bits, for a model that knows so many characters."""
    return CANARY_LENGTH * math.log2(max(1, min(_ALPHABET, characters)))


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
