"""Mojibake: characters that remain where a text was decoded in a wrong encoding.

No real text has them, whatever its language. An accented letter before a closing
quotation mark, as in French, is not counted.
"""

from __future__ import annotations

import functools
import re

import numpy as np
import pyarrow as pa

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


# The characters in Latin-1 and Windows-1252 for bytes that continue one in UTF-8.
_HIGH = bytes(range(0x80, 0xC0))
_TAILS = {*_HIGH.decode("latin-1"), *_HIGH.decode("cp1252", "ignore")}
_TAIL = f"[{re.escape(''.join(sorted(_TAILS)))}]"
# Some of them are natural after a letter, before a punctuation mark.
_NATURAL = "…”’‘“»«–—›‹°·¿¡™®©§ªº¹²³€šžŠŽ\u00a0"
_STRANGE = f"(?:(?![{_NATURAL}]){_TAIL})"
_MISREAD = re.compile(
    rf"(?<![A-ZÇ])Ã{_TAIL}|Ã{_STRANGE}|Â[\x80-\xbf]"  # é as Ã©, £ as Â£
    rf"|(?:[Â-ß]{_TAIL}){{2,}}"  # Cyrillic, Greek, Arabic
    rf"|â(?:€{_TAIL}?|[‚„†‰ˆœ˜]{_TAIL})"  # ’ as â€™
    rf"|[à-ï]{_STRANGE}{_TAIL}|(?:[à-ï]{_TAIL}{_TAIL}){{2,}}"  # Chinese
    rf"|ð[Ÿ\x9f]{_TAIL}{{0,2}}"  # emoji
    r"|锟斤拷|烫{4,}|屯{4,}"  # U+FFFD as GBK; uninitialised memory
    r"|[\xa1-\xff]{4,}"  # GBK or KOI8-R as Latin-1, see `_is_misread`
)


def damage(column: pa.Array, characters: Characters) -> Counts:
    """The number of damaged characters in each text of a column, ``(n,)``."""
    codes, count = characters.codes, characters.count
    damaged, questions = count(codes == _REPLACEMENT), count(codes == _QUESTION)
    letters = characters.count_kinds(LETTER)
    damaged += np.where((questions >= _QUESTIONS) & (letters == 0), questions, 0)
    han = count(characters.scripts == _HAN)
    rare = count(_lookup("rare")[codes])
    doubtful = (han >= 2) & (rare >= _RARE_SHARE * han)
    suspects = np.flatnonzero(_suspects(characters) | doubtful)
    texts = column.take(suspects).to_pylist()
    for row, text in zip(suspects.tolist(), texts, strict=True):
        damaged[row] += sum(map(len, filter(_is_misread, _MISREAD.findall(text))))
        if doubtful[row] and _is_utf_8_read_as_gbk(text):
            damaged[row] += han[row]
    return np.minimum(damaged, np.diff(characters.bounds))


def _suspects(characters: Characters) -> Flags:
    """Which texts have a pair of characters that begins mojibake; few others do."""
    codes = characters.codes
    leads = (codes >= 0xC2) & (codes <= 0xF4)
    suspicious = _lookup("word")[codes]
    suspicious[:-1] |= leads[:-1] & _lookup("tail")[codes[1:]]
    high = (codes >= 0xA1) & (codes <= 0xFF)
    suspicious[:-3] |= high[:-3] & high[1:-2] & high[2:-1] & high[3:]
    return characters.count(suspicious) > 0


@functools.cache
def _lookup(kind: str) -> Flags:
    if kind == "rare":
        pairs = (bytes([b, c]) for b in range(0xE4, 0xEA) for c in range(0x40, 0xFF))
        chosen = "".join(pair.decode("gbk", "ignore") for pair in pairs)
    elif kind == "tail":
        chosen = "".join(c for c in map(chr, range(0x2200)) if re.match(_TAIL, c))
    else:
        chosen = "锟烫屯"
    table = np.zeros(0x110000, bool)
    table[[ord(c) for c in chosen if not c.isascii()]] = True
    return table


def _is_misread(span: str) -> bool:
    """Whether a match is mojibake: a long run of Latin-1 may also be a word."""
    if not re.fullmatch(r"[\xa1-\xff]{4,}", span):
        return True
    letters = [c for c in span if c.isalpha()]
    strange = len(letters) < len(span) or len(span) >= 6
    return len(letters) >= 2 and len(set(span)) >= 4 and strange


def _is_utf_8_read_as_gbk(text: str) -> bool:
    han = "".join(c for c in text if "\u3400" <= c <= "\u9fff")
    back = han.encode("gb18030", "ignore").decode("utf-8", "replace")
    good = sum("\u4e00" <= c <= "\u9fff" for c in back)
    # A character has three bytes in UTF-8, and two in GBK.
    return good >= _RESTORED * len(han) * 2 / 3
