"""Texts to the ids of word pieces, as KerasHub's ``WordPieceTokenizer`` gives them.

It needs NumPy and nothing else, so an exported model brings this file with it. The ids
are the same but for characters that Unicode has given a meaning only after the version
that Python knows (`unicodedata.unidata_version`).

The words are those of BERT: https://arxiv.org/abs/1810.04805, appendix A.2, and
https://github.com/google-research/bert/blob/master/tokenization.py. Lower case is
NFKC_Casefold: https://www.unicode.org/reports/tr44/#NFKC_Casefold.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

MOST_BYTES = 100  # of a word; a longer one is unknown
_KNOWN = 2**14  # words whose pieces are kept, and characters
_IDEOGRAPHS = (
    *(range(0x4E00, 0xA000), range(0x3400, 0x4DC0), range(0x20000, 0x2A6E0)),
    *(range(0x2A700, 0x2CEB0), range(0xF900, 0xFB00), range(0x2F800, 0x2FA20)),
)
# Unicode's property Default_Ignorable_Code_Point.
_IGNORED = dict.fromkeys(
    chain(
        *((0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x17B4, 0x17B5), range(0x180B, 0x1810)),
        *(range(0x200B, 0x2010), range(0x202A, 0x202F), range(0x2060, 0x2070)),
        *((0x3164, 0xFEFF, 0xFFA0), range(0xFE00, 0xFE10), range(0xFFF0, 0xFFF9)),
        *(range(0x1BCA0, 0x1BCA4), range(0x1D173, 0x1D17B), range(0xE0000, 0xE1000)),
    )
)


@dataclass(frozen=True, eq=False)
class WordPieces:
    """Makes the ids of texts; threads may share it.

    Attributes:
        vocabulary: the pieces, in the order of their ids. 0 pads.
        unknown: the piece of a word that cannot be made of others.
        suffix: what a piece within a word begins with, such as ``##``.
        lowercase: whether case is folded.
        strip_accents: whether accents are taken off.
        most: pieces of a text; more are cut off.
        before, after: the ids that each text begins and ends with.
    """

    vocabulary: Sequence[str]
    unknown: str
    suffix: str
    lowercase: bool
    strip_accents: bool
    most: int
    before: Sequence[int] = ()
    after: Sequence[int] = ()

    @functools.cached_property
    def _ids(self) -> Mapping[str, int]:
        return {piece: number for number, piece in enumerate(self.vocabulary)}

    @functools.cached_property
    def _words(self) -> _Characters:
        return _Characters(_without_accents if self.strip_accents else _word_parts)

    @functools.cached_property
    def _of_word(self) -> Callable[[str], Sequence[int]]:
        return functools.lru_cache(_KNOWN)(self._pieces)

    def __call__(self, texts: Iterable[str]) -> Any:
        """The ids, int32 ``(n, longest)``, padded with zeros at their end."""
        rows = [self._row(text) for text in texts]
        ids = np.zeros((len(rows), max(map(len, rows), default=1)), np.int32)
        for place, row in zip(ids, rows, strict=True):
            place[: len(row)] = row
        return ids

    def _row(self, text: str) -> list[int]:
        text = text.partition("\0")[0]
        if self.strip_accents and not text.isascii():
            text = unicodedata.normalize("NFD", text.translate(_APART))
        pieces: list[int] = []
        for word in text.translate(self._words).split("\n"):
            is_short = len(word) <= MOST_BYTES
            pieces += self._of_word(word) if is_short else self._pieces(word)
            if len(pieces) >= self.most:
                break
        return [*self.before, *pieces[: self.most], *self.after]

    def _pieces(self, word: str) -> Sequence[int]:
        """The ids of a word: its longest beginning, and so on with what is left."""
        if self.lowercase:
            folded = unicodedata.normalize("NFKC", word).casefold()
            word = unicodedata.normalize("NFKC", folded.translate(_IGNORED))
        if len(word.encode()) > MOST_BYTES:
            return [self._ids[self.unknown]]
        ids: list[int] = []
        start = 0
        while start < len(word):
            for end in range(len(word), start, -1):
                piece = (self.suffix if start else "") + word[start:end]
                if piece in self._ids:
                    break
            else:
                return [self._ids[self.unknown]]
            ids.append(self._ids[piece])
            start = end
        return ids


class _Characters(dict[int, str]):
    """A table for `str.translate` that is filled as characters are met."""

    def __init__(self, meaning: Callable[[str], str]) -> None:
        self._meaning = meaning

    def __missing__(self, code: int) -> str:
        meaning = self._meaning(chr(code))
        if len(self) < _KNOWN:
            self[code] = meaning
        return meaning


def _alone(character: str) -> str:
    """An ideograph between spaces, so that it stays a word when it is taken apart."""
    is_ideograph = any(ord(character) in some for some in _IDEOGRAPHS)
    return f" {character} " if is_ideograph else character


_APART = _Characters(_alone)


def _word_parts(character: str) -> str:
    """A line end for what parts words; what is a word by itself between two of them."""
    category = unicodedata.category(character)
    if category in ("Cc", "Cf") or character == " ":
        return "\n"
    is_sign = "!" <= character <= "~" and not character.isalnum()
    if is_sign or category.startswith("P") or _alone(character) != character:
        return f"\n{character}\n"
    return character


def _without_accents(character: str) -> str:
    is_accent = unicodedata.category(character) == "Mn"
    return "" if is_accent else _word_parts(character)
