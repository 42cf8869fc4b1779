"""An n-gram model as arrays, so that a saved model can hold it.

It is interpolated Kneser-Ney over the ids of a network. A sequence of characters that
only one document has is left out, so that no passage of a single document can be read
from it; its probability goes to shorter ones.

The n-grams are a tree: each is the child of its context, by its last symbol. They have
numbers, and a hash function without collisions gives the place of a child. An entry
holds its parent and its symbol, so that no other is mistaken for it.

Sources: R. Kneser, H. Ney, Improved backing-off for M-gram language modeling (1995); D.
Belazzougui, F. Botelho, M. Dietzfelbinger, Hash, displace, and compress (2009).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.tasks.generation.kneser_ney import Codes, Grams, Ints, grams_of, joined

NOWHERE, ROOT, FIRST = 0, 1, 2  # numbers: of no n-gram, of the empty one, of others
_LEAST = 2  # documents that have an n-gram of two or more characters
_MOST = 2**20  # n-grams of two or more characters
_PLACES = 1.5  # for each n-gram
_BUCKET = 3  # n-grams, on average
_DISPLACEMENTS = 256
# For a number and a symbol. Both are below 2**22, so that all products stay within 32
# bits. Saved models are written and read by them: other factors need another name.
_FACTORS = (389, 509), (331, 499), (463, 271)


@dataclass(frozen=True, slots=True)
class NGrams:
    """The tables.

    Attributes:
        order: the length of the longest n-grams.
        displacements: of each bucket, ``(buckets,)``.
        parents: the number of the context, ``(places,)``; 0 where nothing is.
        symbols: the last symbol, ``(places,)``.
        numbers: of the n-gram, ``(places,)``.
        shares: of the n-gram in what follows its context, discounted, ``(places,)``.
        rests: what is left for shorter contexts, by number, ``(n,)``.
    """

    order: int
    displacements: Ints
    parents: Ints
    symbols: Ints
    numbers: Ints
    shares: npt.NDArray[np.float64]
    rests: npt.NDArray[np.float64]


def fit_ngrams(documents: Sequence[Codes], size: int, order: int) -> NGrams:
    """Count the n-grams of documents.

    Args:
        documents: ids ``(characters,)`` each, none of them 0, which is the bound.
        size: the number of ids.
        order: the length of the longest n-grams, at least 2.
    """
    counted = list(_counted(documents, size, order))
    least = _LEAST
    while sum(map(len, _chosen(counted, least)[1:])) > _MOST:
        least += 1
    numbering, number = np.array([ROOT]), FIRST  # of the contexts
    rows, rests = [], [np.ones(FIRST)]
    for (grams, _), chosen in zip(counted, _chosen(counted, least), strict=True):
        contexts, symbols = np.divmod(grams.keys[chosen], size)
        numbers = np.arange(number, number + len(chosen))
        shares = np.maximum(grams.counts[chosen] - grams.discount, 0)
        shares = shares / grams.totals[contexts]
        rows.append((numbering[contexts], symbols, numbers, shares))
        rests.append(np.ones(len(chosen)))
        numbering, number = np.full(len(grams.keys), NOWHERE), number + len(chosen)
        numbering[chosen] = numbers
    parents, symbols, numbers, shares = map(np.concatenate, zip(*rows, strict=True))
    rest = np.concatenate(rests)
    np.subtract.at(rest, parents, shares)
    displacements, places, used = _places(parents, symbols)

    def placed(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        table = np.zeros(places, values.dtype)
        table[used] = values
        return table

    return NGrams(
        order,
        displacements,
        placed(parents),
        placed(symbols),
        placed(numbers),
        placed(shares),
        np.maximum(rest, 0),
    )


def _counted(
    documents: Sequence[Codes], size: int, order: int
) -> Iterator[tuple[Grams, Ints]]:
    """The n-grams of each length, and how many documents have each."""
    ids, offsets = joined(documents)
    document = np.cumsum(offsets == 0) - 1
    every = grams_of(ids.astype(np.int64), offsets, size, order)
    for length, (grams, numbers) in enumerate(every, start=1):
        ends = np.flatnonzero(offsets >= length - 1)
        pairs = np.unique(numbers[ends] * len(documents) + document[ends])
        having = np.bincount(pairs // len(documents), minlength=len(grams.keys))
        yield grams, having


def _chosen(counted: Sequence[tuple[Grams, Ints]], least: int) -> list[Ints]:
    """Which n-grams of each length are chosen; with each its context."""
    (characters, _), *longer = counted
    every = np.arange(len(characters.keys))
    return [every, *(np.flatnonzero(having >= least) for _, having in longer)]


def place_of(parents: Any, symbols: Any, displacements: Any, places: int) -> Any:
    """Where an n-gram is, if it is anywhere, by arrays or tensors of integers."""
    first = _hash(parents, symbols, places, *_FACTORS[1])
    step = 1 + _hash(parents, symbols, places - 1, *_FACTORS[2])
    return (first + displacements * step) % places


def bucket_of(parents: Any, symbols: Any, buckets: int) -> Any:
    """The bucket of an n-gram, which has a displacement."""
    return _hash(parents, symbols, buckets, *_FACTORS[0])


def _hash(parents: Any, symbols: Any, size: int, factor: int, other: int) -> Any:
    return (parents * factor % size + symbols * other % size) % size


def _places(parents: Ints, symbols: Ints) -> tuple[Ints, int, Ints]:
    """(displacements of the buckets, number of places, the place of each n-gram)."""
    places, buckets = int(_PLACES * len(parents)) + 2, len(parents) // _BUCKET + 1
    while True:
        bucket = bucket_of(parents, symbols, buckets)
        displacements = _displacements(parents, symbols, bucket, buckets, places)
        if displacements is not None:
            own = place_of(parents, symbols, displacements[bucket], places)
            return displacements, places, own
        places += places // 8 + 1


def _displacements(
    parents: Ints, symbols: Ints, bucket: Ints, buckets: int, places: int
) -> Ints | None:
    """Displacements by which no two n-grams meet, of large buckets first."""
    displacements = np.zeros(buckets, np.int64)
    is_taken = np.zeros(places, bool)
    order, sizes = np.argsort(bucket, kind="stable"), np.bincount(bucket)
    starts = np.cumsum(sizes) - sizes
    for size in range(sizes.max(), 0, -1):
        left = np.flatnonzero(sizes == size)
        for displacement in range(_DISPLACEMENTS):
            members = order[starts[left][:, None] + np.arange(size)]
            own = place_of(parents[members], symbols[members], displacement, places)
            fits = ~is_taken[own].any(axis=1)
            # Of several in one place, the first.
            _, first = np.unique(own[fits], return_index=True)
            is_first = np.zeros(fits.sum() * size, bool)
            is_first[first] = True
            fits[fits] = is_first.reshape(-1, size).all(axis=1)
            is_taken[own[fits]] = True
            displacements[left[fits]] = displacement
            left = left[~fits]
            if not len(left):
                break
        else:
            return None
    return displacements
