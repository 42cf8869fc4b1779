"""Mojibake: characters that remain where a text was decoded in a wrong encoding.

ftfy knows what was UTF-8 and was read as Latin-1, Windows-1252 or a similar encoding.
It is asked how many characters it would replace; an item itself stays as it is. Chinese
that went through GBK, which ftfy does not know, is found beside it.
"""

from __future__ import annotations

import functools
import re
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.media.forms import Counts, Flags
from headrace.media.text.characters import LETTER, SCRIPTS, Characters

_REPLACEMENT = 0xFFFD
_QUESTION = ord("?")
# So many question marks and no letter: characters that ASCII could not represent.
_QUESTIONS = 6
_HAN = SCRIPTS.index("han")
# Bytes E4..E9 begin most Chinese characters in UTF-8. Decoded as GBK, they begin rare
# characters, which are under 5 % of real texts.
_RARE_SHARE = 0.2
_RESTORED = 0.4  # of real texts, 8 %
# U+FFFD as GBK, and memory that was not initialised.
_MARKS = "锟斤拷|烫{4,}|屯{4,}"
# Few other texts have a letter that begins mojibake before one that is not ASCII.
_SUSPICIOUS = rf"[À-ôРС][^\x00-\x7f]|{_MARKS}"
_LATIN = re.compile(r"[\xa1-\xff]{4,}")  # GBK or KOI8-R as Latin-1, or a word


def damage(column: pa.Array, characters: Characters) -> Counts:
    """The number of damaged characters in each text of a column, ``(n,)``."""
    codes, count = characters.codes, characters.count
    damaged, questions = count(codes == _REPLACEMENT), count(codes == _QUESTION)
    letters = characters.count_kinds(LETTER)
    damaged += np.where((questions >= _QUESTIONS) & (letters == 0), questions, 0)
    suspects = np.flatnonzero(pc.match_substring_regex(column, _SUSPICIOUS))
    for row, text in zip(suspects, column.take(suspects).to_pylist(), strict=True):
        damaged[row] += _misread(text)
    han, rare = count(characters.scripts == _HAN), count(_rare()[codes])
    doubtful = np.flatnonzero((han >= 2) & (rare >= _RARE_SHARE * han))
    for row, text in zip(doubtful, column.take(doubtful).to_pylist(), strict=True):
        damaged[row] += han[row] * _is_utf_8_read_as_gbk(text)
    return np.minimum(damaged, np.diff(characters.bounds))


def _misread(text: str) -> int:
    """The number of characters that ftfy replaces, or that are bytes of GBK.

    Controls of Latin-1 have a column of their own.
    """
    from ftfy import fix_encoding

    replaced = Counter(text) - Counter(fix_encoding(text))
    number = sum(replaced[c] for c in replaced if not "\x80" <= c < "\xa0")
    runs = [*re.findall(_MARKS, text), *filter(_is_gbk, _LATIN.findall(text))]
    return max(number, sum(map(len, runs)))


def _is_gbk(run: str) -> bool:
    """Whether a run of Latin-1 is too long or too mixed for a word."""
    is_word = run.isalpha() and len(run) < 6
    return len(set(run)) >= 4 and not is_word and sum(map(str.isalpha, run)) >= 2


@functools.cache
def _rare() -> Flags:
    """Which characters are rare, and begin with a byte that is common in UTF-8."""
    pairs = (bytes([b, c]) for b in range(0xE4, 0xEA) for c in range(0x40, 0xFF))
    table = np.zeros(0x110000, bool)
    chosen = "".join(pair.decode("gbk", "ignore") for pair in pairs)
    table[[ord(c) for c in chosen if not c.isascii()]] = True
    return table


def _is_utf_8_read_as_gbk(text: str) -> bool:
    han = "".join(c for c in text if "\u3400" <= c <= "\u9fff")
    back = han.encode("gb18030", "ignore").decode("utf-8", "replace")
    good = sum("\u4e00" <= c <= "\u9fff" for c in back)
    # A character has three bytes in UTF-8, and two in GBK.
    return good >= _RESTORED * len(han) * 2 / 3
