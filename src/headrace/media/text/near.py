"""Near copies of texts, and the lines that texts have in common.

In a near copy a word, the case or the punctuation was changed.

The shingles of a text are its runs of a few characters, in lower case, without
punctuation and spaces. Its fingerprint is a MinHash with one bit for each of 64 orders:
the fingerprints of two texts with Jaccard similarity J differ in about 32 (1 - J) bits.

A poem may be in two collections with other titles, or quote half of another; such texts
are no near copies, and have lines in common.
"""

from __future__ import annotations

import re
import unicodedata
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.media.forms import Counts, Flags, Passages
from headrace.media.text.characters import DIGIT, LETTER, SCRIPTS, characters_of
from headrace.media.text.texts import Texts, as_column
from headrace.records import DataDescription

_HAN = SCRIPTS.index("han")
_LENGTH, _LENGTH_HAN = 4, 2  # characters of a shingle
_NONE = np.uint32(2**32 - 1)
_ORDERS = 2 * np.random.default_rng(1).integers(0, 2**31, 64, np.uint32) + 1
# The least Jaccard similarity of copies.
ALIKE = 0.8
# Texts with fewer shingles, such as greetings, are alike without being copies.
_LEAST = 12
_ENDS = re.compile(r"[\n.;:!?，。；：！？、]+")
# Shorter lines, such as greetings and names, recur without being copied.
_LEAST_LINE, _LEAST_LINE_HAN = 20, 5  # characters


def fingerprints_of(column: pa.Array) -> npt.NDArray[np.uint64]:
    """Fingerprints of a column of strings, ``(n,)``; 0 for texts that are too short."""
    if not len(column):
        return np.empty(0, np.uint64)
    hashes, starts = _shingles(column)
    prints = np.zeros(len(column), np.uint64)
    for place, order in enumerate(_ORDERS):
        least = np.minimum.reduceat(hashes * order, starts)
        bit = (least * np.uint32(0x9E3779B1)) >> np.uint32(31)
        prints |= bit.astype(np.uint64) << np.uint64(place)
    used = (hashes != _NONE).astype(np.int64)
    prints[np.add.reduceat(used, starts) < _LEAST] = 0
    return prints


def alike(first: Texts, second: Texts, data: DataDescription) -> Flags:
    """Which of pairs of texts ``(n, bytes)`` are nearly the same, ``(n,)``."""
    columns = as_column(first), as_column(second)
    in_first, in_second = map(_pairs, columns)
    in_both = np.intersect1d(in_first, in_second, assume_unique=True)
    first_sizes, second_sizes, common = (
        np.bincount((keys >> np.uint64(32)).astype(np.int64), minlength=len(first))
        for keys in (in_first, in_second, in_both)
    )
    union = first_sizes + second_sizes - common
    near = (union >= _LEAST) & (common >= ALIKE * union)
    return np.asarray(near | np.asarray(pc.equal(*columns)))


def _pairs(column: pa.Array) -> npt.NDArray[np.uint64]:
    """Pairs of a text's number and a shingle, sorted and unique."""
    hashes, starts = _shingles(column)
    lengths = np.diff(np.append(starts, len(hashes)))
    rows = np.repeat(np.arange(len(starts), dtype=np.uint64), lengths)
    used = hashes != _NONE
    keys = np.sort((rows[used] << np.uint64(32)) | hashes[used])
    # NumPy's `unique` puts them into a hash table, which takes ten times longer.
    return np.asarray(keys[np.diff(keys, prepend=~keys[:1]) != 0])


def _shingles(column: pa.Array) -> tuple[npt.NDArray[np.uint32], Counts]:
    """Hashes of the shingles of texts, one text after the other.

    Returns:
        hashes ``(places,)``, the greatest number where no shingle begins; and the first
        place of each text, ``(texts,)``.
    """
    joined = unicodedata.normalize("NFKC", "\0".join(column.to_pylist())).casefold()
    characters = characters_of(pa.array(joined.split("\0"), pa.large_string()))
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
    return begins, ends - lengths


def _mixed(values: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    values = (values ^ (values >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    values = (values ^ (values >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return values ^ (values >> np.uint32(16))


def passages(payload: Texts) -> Passages:
    """The lines of texts ``(n, bytes)``, by line breaks and the ends of sentences."""
    column = as_column(payload)
    characters = characters_of(column)
    han = characters.count(characters.scripts == _HAN)
    is_han = (2 * han > np.diff(characters.bounds)).tolist()
    keys, sizes, rows = [], [], []
    whole = np.zeros(len(payload), np.int64)
    for row, text in enumerate(column.to_pylist()):
        least = _LEAST_LINE_HAN if is_han[row] else _LEAST_LINE
        lines = [stripped for line in _ENDS.split(text) if (stripped := line.strip())]
        whole[row] = sum(map(len, lines))
        for line in lines:
            if len(line) >= least:
                digest = blake2b(line.casefold().encode(), digest_size=8).digest()
                keys.append(int.from_bytes(digest, "little"))
                sizes.append(len(line))
                rows.append(row)
    return Passages(
        np.array(keys, np.uint64),
        np.array(sizes, np.int64),
        np.array(rows, np.int64),
        whole,
    )
