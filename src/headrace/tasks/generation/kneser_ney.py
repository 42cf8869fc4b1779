"""Interpolated Kneser-Ney: the n-gram model that a network must beat.

It predicts the next character from the last ``order - 1``. Its counts are of documents
with a bound at both ends. The last resort is a uniform distribution over all code
points of Unicode, so that every text has a probability.

Sources: R. Kneser, H. Ney, Improved backing-off for M-gram language modeling (1995); S.
F. Chen, J. Goodman, An empirical study of smoothing techniques for language modeling
(1998), for the interpolated form and the discount.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

ORDER, LARGEST_ORDER = 5, 12  # where a gate says none; at most
BOUND = 0  # of a document; no text has this code point
CODE_POINTS = 0x110000 - 0x800  # all but surrogates
_BLOCK = 2**20  # characters that are answered at once

Codes: TypeAlias = npt.NDArray[np.int32]
Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Grams:
    """The n-grams of one length, by their numbers.

    Attributes:
        keys: the number of the context times the number of symbols, plus that of the
            last symbol; sorted, ``(n,)``.
        counts: how often each occurs; of shorter than the longest ones, after how many
            different symbols, ``(n,)``.
        totals: the sum of the counts in each context, ``(contexts,)``.
        kinds: the number of n-grams with a count in each context, ``(contexts,)``.
        discount: of each count.
    """

    keys: Ints
    counts: Ints
    totals: Ints
    kinds: Ints
    discount: float

    @classmethod
    def of(cls, keys: Ints, counts: Ints, symbols: int, contexts: int) -> Grams:
        """N-grams with these counts; their discount is from those of 1 and of 2."""
        context = keys // symbols
        totals = np.bincount(context, counts, contexts).astype(np.int64)
        kinds = np.bincount(context, counts > 0, contexts).astype(np.int64)
        once, twice = (int((counts == count).sum()) for count in (1, 2))
        discount = once / (once + 2 * twice) if once and twice else 0.5
        return cls(keys, counts, totals, kinds, discount)

    def find(self, keys: Ints) -> Ints:
        """The number of each n-gram; -1 for unknown ones."""
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[places] == keys, places, -1)


class KneserNey:
    """A model of documents.

    Args:
        documents: code points ``(characters,)`` each, none of them 0.
        order: the length of the longest n-grams, from 1 to `LARGEST_ORDER`.

    Raises:
        ValueError: the order is another, or there is no document.
    """

    def __init__(self, documents: Sequence[Codes], order: int) -> None:
        if not 1 <= order <= LARGEST_ORDER or not len(documents):
            raise ValueError(
                f"It takes an order from 1 to {LARGEST_ORDER}, and documents; it got "
                f"{order} and {len(documents)} documents."
            )
        codes, offsets = joined(documents)
        self._symbols = np.unique(codes)
        ids, size = np.searchsorted(self._symbols, codes), len(self._symbols)
        self._orders = [grams for grams, _ in grams_of(ids, offsets, size, order)]

    def nats(self, documents: Sequence[Codes]) -> Floats:
        """The negative log probability of each document with its end, ``(n,)``."""
        sums = [np.empty(0)]
        for part in _parts(documents):
            codes, offsets = joined(part)
            nats = np.where(offsets, -np.log(self._probabilities(codes, offsets)), 0)
            sums.append(np.add.reduceat(nats, np.flatnonzero(offsets == 0)))
        return np.concatenate(sums)

    def _probabilities(self, codes: Codes, offsets: Ints) -> Floats:
        """The probability of each symbol after those before it, ``(symbols,)``."""
        size = len(self._symbols)
        places = np.minimum(np.searchsorted(self._symbols, codes), size - 1)
        ids = np.where(self._symbols[places] == codes, places, -1)
        share = np.full(len(codes), 1 / CODE_POINTS)
        contexts = np.zeros(len(codes), np.int64)
        for length, grams in enumerate(self._orders, start=1):
            rows = np.flatnonzero((contexts >= 0) & (offsets >= length - 1))
            context = contexts[rows]
            keys = np.where(ids[rows] < 0, -1, context * size + ids[rows])
            matches = grams.find(keys)
            counts = np.where(matches < 0, 0, grams.counts[matches])
            total = grams.totals[context]
            rest = grams.discount * grams.kinds[context] * share[rows]
            mixed = (np.maximum(counts - grams.discount, 0) + rest) / total
            share[rows] = np.where(total > 0, mixed, share[rows])
            contexts = np.full(len(codes), -1)
            contexts[rows] = matches
            contexts[1:] = contexts[:-1]
            contexts[0] = -1
        return share


def grams_of(
    ids: Ints, offsets: Ints, size: int, order: int
) -> Iterator[tuple[Grams, Ints]]:
    """The n-grams of each length up to the order.

    Args:
        ids: of symbols, from 0 to ``size - 1``; see `joined`.
        offsets: of each within its document.
        size: the number of symbols.
        order: the longest.

    Yields:
        the n-grams, and the number of the one that ends at each symbol, ``(symbols,)``;
        -1 where a document is shorter.
    """
    keys, numbers, contexts = np.arange(size), ids, 1
    for length in range(1, order + 1):
        counted = numbers[offsets >= max(1, length - 1)]
        if length < order:
            inside = np.flatnonzero(offsets >= length)
            longer = numbers[inside - 1] * size + ids[inside]
            next_keys, first, places = np.unique(
                longer, return_index=True, return_inverse=True
            )
            # Nothing comes before a document's begin, so those are all counted.
            begin = numbers[(offsets == length - 1) & (offsets > 0)]
            counted = np.concatenate([numbers[inside[first]], begin])
        counts = np.bincount(counted, minlength=len(keys))
        yield Grams.of(keys, counts, size, contexts), numbers
        if length < order:
            contexts, keys = len(keys), next_keys
            numbers = np.full(len(ids), -1)
            numbers[inside] = places


def joined(documents: Sequence[Codes]) -> tuple[Codes, Ints]:
    """Documents with their bounds, one after the other, and each symbol's offset.

    Args:
        documents: code points or ids, none of them `BOUND`, ``(characters,)`` each.
    """
    bound = np.array([BOUND], np.int32)
    parts = [part for document in documents for part in (bound, document, bound)]
    sizes = np.array([len(document) + 2 for document in documents])
    offsets = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.concatenate(parts), offsets


def _parts(documents: Sequence[Codes]) -> Iterator[Sequence[Codes]]:
    """Parts of documents of about `_BLOCK` characters each."""
    start = size = 0
    for stop, document in enumerate(documents, start=1):
        size += len(document)
        if size >= _BLOCK or stop == len(documents):
            yield documents[start:stop]
            start, size = stop, 0
