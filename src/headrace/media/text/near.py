"""Near copies of texts: a word, the case or the punctuation was changed.

The shingles of a text are its runs of a few characters, in lower case, without
punctuation and spaces. Its fingerprint is a MinHash with one bit for each of 64 orders:
the fingerprints of two texts with Jaccard similarity J differ in about 32 (1 - J) bits.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.media.forms import Counts, Flags
from headrace.media.text.characters import DIGIT, LETTER, SCRIPTS, characters_of

_HAN = SCRIPTS.index("han")
_LENGTH, _LENGTH_HAN = 4, 2  # characters of a shingle
_NONE = np.uint32(2**32 - 1)
_ORDERS = np.random.default_rng(1).integers(0, 2**31, 64, np.uint32) * np.uint32(2)
_ORDERS += np.uint32(1)
# The least Jaccard similarity of copies.
ALIKE = 0.8
# Texts with fewer shingles, such as greetings, are alike without being copies.
_LEAST = 12


@dataclass(frozen=True, slots=True)
class _Shingles:
    """Hashes of the shingles of texts, one text after the other.

    Attributes:
        hashes: ``(places,)``; the greatest number where no shingle begins.
        starts: the first place of each text, ``(texts,)``.
    """

    hashes: npt.NDArray[np.uint32]
    starts: Counts

    def pairs(self) -> npt.NDArray[np.uint64]:
        """Pairs of a text's number and a shingle, sorted and unique."""
        lengths = np.diff(np.append(self.starts, len(self.hashes)))
        rows = np.repeat(np.arange(len(self.starts), dtype=np.uint64), lengths)
        used = self.hashes != _NONE
        return np.unique((rows[used] << np.uint64(32)) | self.hashes[used])


def fingerprints(column: pa.Array) -> npt.NDArray[np.uint64]:
    """Fingerprints of a column of strings, ``(n,)``; 0 for texts that are too short."""
    if not len(column):
        return np.empty(0, np.uint64)
    shingles = _shingles(column)
    prints = np.zeros(len(column), np.uint64)
    for place, order in enumerate(_ORDERS):
        least = np.minimum.reduceat(shingles.hashes * order, shingles.starts)
        bit = (least * np.uint32(0x9E3779B1)) >> np.uint32(31)
        prints |= bit.astype(np.uint64) << np.uint64(place)
    used = (shingles.hashes != _NONE).astype(np.int64)
    prints[np.add.reduceat(used, shingles.starts) < _LEAST] = 0
    return prints


def alike(first: pa.Array, second: pa.Array) -> Flags:
    """Which pairs of texts, from two columns of strings, are near copies, ``(n,)``."""
    in_first, in_second = _shingles(first).pairs(), _shingles(second).pairs()
    in_both = np.intersect1d(in_first, in_second, assume_unique=True)
    keys = (in_first, in_second, in_both)
    first_sizes, second_sizes, common = (_per_row(key, len(first)) for key in keys)
    union = first_sizes + second_sizes - common
    near = (union >= _LEAST) & (common >= ALIKE * union)
    return near | np.asarray(pc.equal(first, second))


def _per_row(keys: npt.NDArray[np.uint64], count: int) -> Counts:
    return np.bincount((keys >> np.uint64(32)).astype(np.int64), minlength=count)


def _normalised(column: pa.Array) -> pa.Array:
    joined = "\0".join(column.to_pylist())
    joined = unicodedata.normalize("NFKC", joined).casefold()
    return pa.array(joined.split("\0"), pa.large_string())


def _shingles(column: pa.Array) -> _Shingles:
    characters = characters_of(_normalised(column))
    is_used = characters.having(LETTER | DIGIT)
    counts = characters.count(is_used)
    han = 2 * characters.count(characters.scripts == _HAN) > counts
    # Zeros after each text make room for shingles that reach over its end.
    lengths = counts + _LENGTH
    ends = np.cumsum(lengths)
    inside = np.repeat(ends - lengths - (np.cumsum(counts) - counts), counts)
    places = np.arange(len(inside)) + inside
    codes = np.zeros(int(ends[-1]) if len(ends) else 0, np.uint32)
    codes[places] = characters.codes[is_used]
    hashes, short = _mixed(codes), np.repeat(han, lengths)
    for step in range(1, _LENGTH):
        following = np.zeros_like(codes)
        following[:-step] = codes[step:]
        if step >= _LENGTH_HAN:
            following[short] = 0
        hashes = _mixed(hashes * np.uint32(31) + following)
    begins = np.full(len(codes), _NONE)
    begins[places] = np.minimum(hashes[places], _NONE - np.uint32(1))
    return _Shingles(begins, ends - lengths)


def _mixed(values: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    values = (values ^ (values >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    values = (values ^ (values >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return values ^ (values >> np.uint32(16))
