"""Texts that are nearly the same: a word, the case or the marks were changed.

A text's shingles are the runs of a few characters in it, in lower case, without marks
and spaces. Its fingerprint is a MinHash of one bit for each of 64 orders of them: of
two texts that share the part J of their shingles, 32 (1 - J) bits differ.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.media.text.characters import DIGIT, LETTER, SCRIPTS, characters_of

_HAN = SCRIPTS.index("han")
_LENGTH, _LENGTH_HAN = 4, 2  # of a shingle
_NONE = np.uint32(2**32 - 1)
_ORDERS = np.random.default_rng(1).integers(0, 2**31, 64, np.uint32) * np.uint32(2)
_ORDERS += np.uint32(1)
# Of the shingles of two texts, the share that both have where they are copies.
ALIKE = 0.8
# Shorter ones, such as greetings, are alike without being copies.
_LEAST = 12


@dataclass(frozen=True, slots=True)
class _Shingles:
    """Hashes of the shingles of texts, one text after the other.

    Attributes:
        hashes: ``(places,)``; the greatest number where none begins.
        starts: the first place of each text, ``(texts,)``.
    """

    hashes: npt.NDArray[np.uint32]
    starts: npt.NDArray[np.int64]

    def pairs(self) -> npt.NDArray[np.uint64]:
        """Each text's number with each of its shingles, sorted, without copies."""
        lengths = np.diff(np.append(self.starts, len(self.hashes)))
        rows = np.repeat(np.arange(len(self.starts), dtype=np.uint64), lengths)
        begun = self.hashes != _NONE
        return np.unique((rows[begun] << np.uint64(32)) | self.hashes[begun])


def fingerprints(column: pa.Array) -> npt.NDArray[np.uint64]:
    """A number for each text, ``(n,)``: few bits differ between texts that are alike.

    0 for those that are too short to tell by.

    Args:
        column: of strings.
    """
    if not len(column):
        return np.empty(0, np.uint64)
    shingles = _shingles(column)
    prints = np.zeros(len(column), np.uint64)
    for place, order in enumerate(_ORDERS):
        least = np.minimum.reduceat(shingles.hashes * order, shingles.starts)
        bit = (least * np.uint32(0x9E3779B1)) >> np.uint32(31)
        prints |= bit.astype(np.uint64) << np.uint64(place)
    begun = np.add.reduceat(
        (shingles.hashes != _NONE).astype(np.int64), shingles.starts
    )
    prints[begun < _LEAST] = 0
    return prints


def alike(first: pa.Array, second: pa.Array) -> npt.NDArray[np.bool_]:
    """Which of pairs of texts are nearly the same, ``(n,)``.

    Args:
        first, second: columns of strings, ``(n,)``.
    """
    one, other = _shingles(first).pairs(), _shingles(second).pairs()
    common = np.intersect1d(one, other, assume_unique=True)
    sizes = [_per_row(keys, len(first)) for keys in (one, other, common)]
    union = sizes[0] + sizes[1] - sizes[2]
    near: npt.NDArray[np.bool_] = (union >= _LEAST) & (sizes[2] >= ALIKE * union)
    near |= np.asarray(pc.equal(first, second))
    return near


def _per_row(keys: npt.NDArray[np.uint64], count: int) -> npt.NDArray[np.int64]:
    return np.bincount((keys >> np.uint64(32)).astype(np.int64), minlength=count)


def _normalised(column: pa.Array) -> pa.Array:
    whole = "\0".join(column.to_pylist())
    whole = unicodedata.normalize("NFKC", whole).casefold()
    return pa.array(whole.split("\0"), pa.large_string())


def _shingles(column: pa.Array) -> _Shingles:
    characters = characters_of(_normalised(column))
    kept = (characters.kinds & (LETTER | DIGIT)) > 0
    counts = characters.count(kept)
    han = 2 * characters.count(characters.scripts == _HAN) > counts
    # After each text is room for shingles that reach over its end.
    lengths = counts + _LENGTH
    ends = np.cumsum(lengths)
    inside = np.repeat(ends - lengths - (np.cumsum(counts) - counts), counts)
    places = np.arange(len(inside)) + inside
    codes = np.zeros(int(ends[-1]) if len(ends) else 0, np.uint32)
    codes[places] = characters.codes[kept]
    hashes, short = _mixed(codes), np.repeat(han, lengths)
    for step in range(1, _LENGTH):
        following = np.zeros_like(codes)
        following[:-step] = codes[step:]
        if step >= _LENGTH_HAN:
            following[short] = 0
        hashes = _mixed(hashes * np.uint32(31) + following)
    begun = np.full(len(codes), _NONE)
    begun[places] = np.minimum(hashes[places], _NONE - np.uint32(1))
    return _Shingles(begun, ends - lengths)


def _mixed(values: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    values = (values ^ (values >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    values = (values ^ (values >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return values ^ (values >> np.uint32(16))
