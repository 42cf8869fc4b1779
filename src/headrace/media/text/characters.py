"""The characters of many texts as arrays: their codes, kinds and scripts.

The script of a text, and which texts are in another than the rest.
"""

from __future__ import annotations

import functools
import unicodedata
from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.media.arrow import offsets_of
from headrace.media.forms import Counts, Flags, Payload

LETTER, DIGIT, SPACE, CONTROL, C1, HIDDEN = 1, 2, 4, 8, 16, 32
_RANGES = {
    "latin": (
        *((0x41, 0x5A), (0x61, 0x7A), (0xAA, 0x24F)),
        *((0x1E00, 0x1EFF), (0xFF21, 0xFF5A)),
    ),
    "han": (
        *((0x3005, 0x3007), (0x3400, 0x4DBF), (0x4E00, 0x9FFF)),
        *((0xF900, 0xFAFF), (0x20000, 0x323AF)),
    ),
    "kana": ((0x3041, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9D)),
    "hangul": ((0x1100, 0x11FF), (0x3131, 0x318E), (0xAC00, 0xD7A3)),
    "cyrillic": ((0x400, 0x52F), (0x1C80, 0x1C8F), (0xA640, 0xA69F)),
    "arabic": (
        *((0x600, 0x6FF), (0x750, 0x77F), (0x8A0, 0x8FF)),
        *((0xFB50, 0xFDFF), (0xFE70, 0xFEFC)),
    ),
    "greek": ((0x370, 0x3FF), (0x1F00, 0x1FFF)),
    "hebrew": ((0x590, 0x5FF),),
    "devanagari": ((0x900, 0x97F),),
    "thai": ((0xE00, 0xE7F),),
}
SCRIPTS = ("", *_RANGES, "other")
_ALL = 0x110000
# These reverse the order of what follows, so that a text is not what it looks like.
_OVERRIDES = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
# Joiners are left out: emoji, Persian and Hindi need them.
_HIDDEN = (0x200B, 0x2060, 0xFEFF)
_HAN, _KANA = SCRIPTS.index("han"), SCRIPTS.index("kana")
# The least share of kana in Japanese; Chinese has hardly any.
_JAPANESE = 0.1
# The share of a text's letters that its script must have. A Chinese character counts as
# three letters.
_DOMINANT = 0.6
_HAN_LETTERS = 3
_LETTERS = 5
# The share of the main script, and the share below which another one is foreign.
_MAIN, _FEW = 0.8, 0.15


@dataclass(frozen=True, slots=True)
class Characters:
    """The characters of texts, one after the other.

    Attributes:
        codes: uint32 ``(characters,)``.
        bounds: the first of each text, and the number of all, ``(texts + 1,)``.
        kinds: uint8 ``(characters,)``, flags ``LETTER``, ``DIGIT`` and so on.
        scripts: uint8 ``(characters,)``, indices in `SCRIPTS`; 0 for all but letters.
    """

    codes: npt.NDArray[np.uint32]
    bounds: Counts
    kinds: npt.NDArray[np.uint8]
    scripts: npt.NDArray[np.uint8]

    def having(self, kinds: int) -> Flags:
        """Which characters have one of the flags of ``kinds``."""
        return (self.kinds & kinds) > 0

    def count(self, chosen: Flags) -> Counts:
        """The number of chosen characters in each text, ``(texts,)``."""
        places = np.flatnonzero(chosen)
        return np.asarray(np.diff(np.searchsorted(places, self.bounds)))

    def count_kinds(self, kinds: int) -> Counts:
        """The number of characters in each text with one of these flags."""
        return self.count(self.having(kinds))

    def begins(self, chosen: Flags) -> Flags:
        """Which chosen characters begin a run of chosen ones in their text."""
        before = np.concatenate([[False], chosen[:-1]])[: len(chosen)]
        firsts = self.bounds[:-1]
        before[firsts[firsts < len(chosen)]] = False
        return np.asarray(chosen & ~before)

    @property
    def rows(self) -> Counts:
        """The index of each character's text, ``(characters,)``."""
        return np.repeat(np.arange(len(self.bounds) - 1), np.diff(self.bounds))


def characters_of(column: pa.Array) -> Characters:
    """The characters of a column of strings that has no nulls."""
    ends, buffer = offsets_of(column)
    data = np.frombuffer(buffer or b"", np.uint8)[ends[0] : ends[-1]]
    before = np.concatenate([[0], np.cumsum((data & 0xC0) != 0x80, dtype=np.int64)])
    text = data.tobytes().decode()
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    kinds, scripts = _tables()
    return Characters(codes, before[ends - ends[0]], kinds[codes], scripts[codes])


def script_counts(characters: Characters) -> Counts:
    """The letters of each script in each text, ``(n, scripts)``."""
    rows, scripts = len(characters.bounds) - 1, len(SCRIPTS)
    places = characters.rows * scripts + characters.scripts
    counted = np.bincount(places, minlength=rows * scripts).reshape(rows, scripts)
    counted[:, 0] = 0
    return counted


def main_scripts(counts: Counts) -> Payload:
    """The script of each text, ``(n,)`` of str; Japanese is ``kana``.

    Empty where there are few letters, or several scripts.

    Args:
        counts: those of `script_counts`.
    """
    weights = counts.copy()
    weights[:, _HAN] *= _HAN_LETTERS
    japanese = counts[:, _KANA] >= _JAPANESE * np.maximum(counts.sum(axis=1), 1)
    weights[japanese, _KANA] += weights[japanese, _HAN]
    weights[japanese, _HAN] = 0
    total = weights.sum(axis=1)
    scripts: Payload = np.array(SCRIPTS, object)[weights.argmax(axis=1)]
    scripts[(total < _LETTERS) | (weights.max(axis=1) < _DOMINANT * total)] = ""
    return scripts


def foreign(scripts: Payload) -> Flags:
    """Which texts are in a rare script, where most are in another, ``(n,)``.

    Latin letters are a second script everywhere, and never foreign.
    """
    sizes = Counter(sorted(scripts[scripts != ""].tolist()))
    total = sizes.total()
    if max(sizes.values(), default=0) < _MAIN * total:
        return np.zeros(len(scripts), bool)
    rare = [name for name in sizes if sizes[name] < _FEW * total and name != "latin"]
    return np.isin(scripts, rare)


@functools.cache
def _tables() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    kinds = np.zeros(_ALL, np.uint8)
    names = np.array([unicodedata.category(chr(code)) for code in range(0x30000)])
    letters = np.flatnonzero(np.char.startswith(names, "L"))
    kinds[letters] |= LETTER
    kinds[0x30000:0x323B0] |= LETTER
    kinds[np.flatnonzero(names == "Nd")] |= DIGIT
    kinds[[c for c in range(0x3001) if chr(c).isspace()]] |= SPACE
    controls = [c for c in (*range(0x1C), 0x7F) if not kinds[c] & SPACE]
    kinds[[*controls, *range(0x1C, 0x20), *_OVERRIDES]] |= CONTROL
    kinds[[c for c in range(0x80, 0xA0) if c != 0x85]] |= C1
    kinds[[*_HIDDEN]] |= HIDDEN
    scripts = np.where(kinds & LETTER, SCRIPTS.index("other"), 0).astype(np.uint8)
    for script, ranges in _RANGES.items():
        for low, high in ranges:
            part = scripts[low : high + 1]
            part[part > 0] = SCRIPTS.index(script)
    return kinds, scripts
