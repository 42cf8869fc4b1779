"""Detects the encoding of a file of text; refuses a file whose encoding is uncertain.

Only people notice text that was decoded in a wrong encoding, so nothing is guessed.
"""

from __future__ import annotations

import codecs
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from headrace.data.sources.places.files import File
from headrace.display.signs import visible
from headrace.errors import SourceError

_BLOCK = 2**20
_EVIDENCE = 2**22
_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig", "UTF-8 with a byte order mark"),
    (b"\xff\xfe\0\0", "utf-32", "UTF-32"),
    (b"\0\0\xfe\xff", "utf-32", "UTF-32"),
    (b"\xff\xfe", "utf-16", "UTF-16"),
    (b"\xfe\xff", "utf-16", "UTF-16"),
)
# Without tab, line ends and form feed, which texts have.
_CONTROLS = [code for code in range(32) if code not in (9, 10, 11, 12, 13)]
_MAX_CONTROLS = 0.05
# ISO-2022 is ASCII with escapes that switch the character set.
_ESCAPE = 27
_MAX_ESCAPES = 0.002
# ASCII to Arabic, punctuation, kana and Chinese, Korean, full-width forms.
_RANGES = (
    *((9, 13), (32, 126), (0xA0, 0x6FF), (0x2010, 0x2044), (0x20AC, 0x2122)),
    *((0x3000, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7AF), (0xFF01, 0xFFEE)),
)
_USUAL = 0.95
_GUESSED_BY = 2**16
_GUESSES = 3
_SAMPLE = re.compile(r"[^\x00-\x7f].{0,11}")
# They are at least a third of a longer Chinese text, and an eighth of text in another
# language that was decoded as Chinese.
_COMMON = (
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之"
    "年过发后作里用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理"
    "心她本前开但因只从想实日军者意无力它与长把机十民第公此已工使情明性知全三又关点正业外将两高"
    "间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合回特代内信表化老"
    "给世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平系气题活尔更别打女"
    "变四神总何电数安少报才结反受目太量再感建务做接必场件计管期市直德资命山金指克许统区保至队形"
    "社便空决治展马科司五基眼书非则听白却界达光放强即像难且权思王象完设式色路记南品住告类求据程"
    "北边死张该交规万取拉格望觉术领共确传师观清今切院让识候带导争运笔风花云春秋夜江雨远千归君"
    "酒愁寒落深青红香玉歌客叶草石竹古去雪病老吃买喜欢快差钱店"
)
# The punctuation of Chinese text.
_MARKS = "，。、；：？！《》“”‘’（）—…·"
# Kana shows that text in another two-byte encoding was decoded by chance.
_KANA = (0x3040, 0x30FF)
_LEAST = 6
_LEAST_SHARE = 0.3
# Characters and positions that a Western European text does not have.
_ODD = re.compile(
    r"(?<=[a-z])[\u0160\u017d\u0152\u0178\xc0-\xde]"
    r"|(?<=[A-Za-z])[^\x00-\x7f\xc0-\xd6\xd8-\xf6\xf8-\xff"
    r"\u0160\u0161\u017d\u017e\u0152\u0153\u0178"
    r"\u2018\u2019\u2013\u2014\u2026\xa0\xad\xb4\xb7](?=[A-Za-z])"
    r"|(?<=[A-Za-z])[\u201a\u201e\u2030]"
    r"|[\xd0\xde\xf0\xfe\xff\xdd\xfd\xd7\xf7\x7f-\x9f\u0192\u02c6\u02dc\u2020\u2021]"
    r"|[^\x00-\xa0\u2018-\u201d\u2026\u2013\u2014\xab\xbb\xbf\xa1]{3,}"
)
# Two letters that Windows-1250 text of Hungarian, Czech, and Slovenian or Croatian has
# when it is read as Windows-1252, and one that it lacks, while a Western language with
# the first letter has it.
_EASTERN = (("õ", "ö", "ä"), ("ø", "ì", "å"), ("è", "š", "é"))


class Encoding(NamedTuple):
    """The encoding of a file.

    Attributes:
        codec: Python's name for it.
        name: for messages.
        errors: how to decode invalid bytes: ``strict``, or ``surrogateescape`` if few
            rows are damaged and can be quarantined.
    """

    codec: str
    name: str
    errors: str = "strict"


@dataclass(slots=True)
class _Census:
    """Statistics of the bytes of a file.

    Attributes:
        counts: of each of the 256 bytes.
        nulls: at even and at odd places.
        good, bad: numbers of non-ASCII characters, and of bytes that are not UTF-8.
    """

    size: int = 0
    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, int))
    nulls: list[int] = field(default_factory=lambda: [0, 0])
    good: int = 0
    bad: int = 0


def find_encoding(
    file: File, declared: str | None = None, learned: str = ""
) -> Encoding:
    """The encoding of a file, from all of its bytes.

    Args:
        file: unpacked, if it was compressed.
        declared: the encoding in ``data.encoding``; the file must be valid in it.
        learned: of the data that a model has learned from; it is the file's, where that
            is not Unicode and is valid in it.

    Raises:
        SourceError: it is no text, is damaged, is not in the declared encoding, or its
            encoding is uncertain.
    """
    if declared:
        _check_strict(file, declared, f"{declared} that data.encoding says")
        return Encoding(declared, declared)
    if known := _marked_or_plain(file):
        return known
    census = _census(file)
    if utf_16 := _utf_16(file, census):
        return utf_16
    controls = int(census.counts[_CONTROLS].sum())
    escapes = int(census.counts[_ESCAPE])
    if controls > _MAX_CONTROLS * census.size or escapes > _MAX_ESCAPES * census.size:
        raise SourceError(
            f"{file.where} is not text: {controls:,} of its {census.size:,} bytes are "
            "control characters.",
            "Give text, or data in a format that is known.",
        )
    if not census.bad:
        return Encoding("utf-8", "UTF-8")
    if census.good > 4 * census.bad and census.good > 8:
        return Encoding("utf-8", "UTF-8, damaged in places", "surrogateescape")
    return _single_or_double_byte(file, census, learned)


def _marked_or_plain(file: File) -> Encoding | None:
    head = file.head(4)
    for mark, codec, name in _BOMS:
        if head.startswith(mark):
            return _with_mark(file, codec, name)
    return Encoding("utf-8", "UTF-8") if _is_plain_utf_8(file) else None


def _with_mark(file: File, codec: str, name: str) -> Encoding:
    if codec == "utf-8-sig":
        if _is_plain_utf_8(file):
            return Encoding(codec, name)
        census = _census(file)
        if census.bad <= max(1, census.good // 4):
            return Encoding(codec, name, "surrogateescape" if census.bad else "strict")
    _check_strict(file, codec.removesuffix("-sig"), name)
    return Encoding(codec, name)


def _check_strict(file: File, codec: str, name: str) -> None:
    if bad := _bad_byte(file, codec):
        raise SourceError(
            f"{file.where} is not the {name}: it breaks off or is damaged at byte "
            f"{bad[0]:,}.",
            "Download or make it again, or name its encoding: data.encoding "
            "(`--encoding` of headrace new and headrace score).",
        )


def _bad_byte(file: File, codec: str) -> tuple[int, bytes] | None:
    """The first byte that is not valid in an encoding, after its place."""
    decoder = codecs.getincrementaldecoder(codec)()
    place = pending = 0
    try:
        for block in _blocks(file):
            decoder.decode(block)
            pending = len(decoder.getstate()[0])
            place += len(block)
        decoder.decode(b"", True)
    except UnicodeDecodeError as error:
        byte = error.object[error.start : error.start + 1]
        return place - pending + error.start, byte
    return None


def _is_plain_utf_8(file: File) -> bool:
    """Whether it is UTF-8 without control characters, in a tenth of a census's time."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for block in _blocks(file):
            decoder.decode(block)
            values = np.frombuffer(block, np.uint8)
            # Those of texts are 9 to 13; below 14, the difference wraps around.
            if ((values < 9) | (values - np.uint8(14) < 18)).any():
                return False
        decoder.decode(b"", True)
    except UnicodeDecodeError:
        return False
    return True


def _blocks(file: File) -> Iterator[bytes]:
    with file.open() as stream:
        while block := stream.read(_BLOCK):
            yield block


def _census(file: File) -> _Census:
    census = _Census()
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    for block in _blocks(file):
        values = np.frombuffer(block, np.uint8)
        census.counts += np.bincount(values, minlength=256)
        if not values.all():
            # A block may begin at an odd place of the file.
            for place in (0, 1):
                nulls = values[(place + census.size) % 2 :: 2] == 0
                census.nulls[place] += int(np.count_nonzero(nulls))
        if values.max() > 127 or decoder.getstate()[0]:
            _count(decoder.decode(block), census)
        census.size += len(block)
    _count(decoder.decode(b"", True), census)
    return census


def _codes(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def _count(text: str, census: _Census) -> None:
    codes = _codes(text)
    bad = int(((codes >= 0xDC80) & (codes <= 0xDCFF)).sum())
    census.bad += bad
    census.good += int((codes > 127).sum()) - bad


def _utf_16(file: File, census: _Census) -> Encoding | None:
    """UTF-16 without a byte order mark, by the nulls of its ASCII and line ends."""
    total = sum(census.nulls)
    if census.size % 2 or total < 2 or total < 0.01 * census.size:
        return None
    is_little = census.nulls[1] > census.nulls[0]
    order, name = ("le", "little") if is_little else ("be", "big")
    encoding = Encoding(f"utf-16-{order}", f"UTF-16, {name}-endian")
    codes = _codes(_decoded(file, encoding.codec) or "\0")
    # Half of the characters are unusual if the byte order is wrong.
    usual = [(codes >= first) & (codes <= last) for first, last in _RANGES]
    is_usual = np.logical_or.reduce(usual).mean() >= _USUAL
    return encoding if is_usual else None


def _decoded(file: File, codec: str) -> str | None:
    """The first non-ASCII text of a file; None if it is not valid in the encoding."""
    parts: list[str] = []
    size = 0
    try:
        for text in codecs.iterdecode(_blocks(file), codec):
            if size < _EVIDENCE and not (parts and text.isascii()):
                parts.append(text)
                size += len(text)
    except UnicodeDecodeError:
        return None
    return "".join(parts)


def _single_or_double_byte(file: File, census: _Census, learned: str) -> Encoding:
    if learned and _bad_byte(file, learned) is None:
        return Encoding(learned, learned)
    if (text := _decoded(file, "gb18030")) is not None and is_chinese(_codes(text)):
        return Encoding("gb18030", "GBK (GB18030)")
    if (text := _decoded(file, "cp1252")) is not None and is_western(text):
        return Encoding("cp1252", "Windows-1252 (Latin-1)")
    if census.bad <= max(1, census.size // 2000):
        return Encoding("utf-8", "UTF-8, damaged in places", "surrogateescape")
    place, byte = _bad_byte(file, "utf-8") or (0, b"")
    raise SourceError(
        f"{file.where} is not UTF-8 (byte {place:,} is 0x{byte.hex().upper()}), and "
        "whether it is GBK, Windows-1252 or another encoding cannot be told beyond "
        f"doubt.{_guess(file)}",
        "Save it as UTF-8, or name its encoding: data.encoding (`--encoding` of "
        "headrace new and headrace score).",
    )


def _guess(file: File) -> str:
    """The guesses of charset-normalizer, which may be wrong, for the message only.

    It is imported by name, since no result of a stage depends on its version.
    """
    normalizer: Any = importlib.import_module("charset_normalizer")
    guesses: dict[str, str] = {}  # by what is read, so that the reader can tell
    for match in normalizer.from_bytes(file.head(_GUESSED_BY)):
        if sample := _SAMPLE.search(str(match)):
            guesses.setdefault(visible(sample[0]), match.encoding)
    named = [f"{name} ({text!r})" for text, name in guesses.items()][:_GUESSES]
    return f" It is likely to be {' or '.join(named)}." if named else ""


def is_chinese(codes: npt.NDArray[np.uint32]) -> bool:
    """Whether the non-ASCII code points ``(n,)`` can only be a Chinese text's."""
    wide = codes[codes > 127]
    han = wide[(wide >= 0x4E00) & (wide <= 0x9FFF)]
    marks = np.isin(wide, [ord(mark) for mark in _MARKS])
    kana = int(((wide >= _KANA[0]) & (wide <= _KANA[1])).sum())
    full_width = int(((wide >= 0xFF00) & (wide <= 0xFFEF)).sum())
    plausible = len(han) + int(marks.sum()) + full_width
    if len(han) < _LEAST or kana > 0.05 * len(han) or plausible < 0.9 * len(wide):
        return False
    common = np.isin(han, [ord(character) for character in _COMMON])
    return bool(common.mean() >= _LEAST_SHARE)


def is_western(text: str) -> bool:
    """Whether the non-ASCII characters are those of Western European text."""
    total = sum(character > "\x7f" for character in text)
    odd: list[str] = _ODD.findall(text)
    is_eastern = any(
        min(text.count(first), text.count(second)) > 0.02 * total
        and 2 * text.count(western) < text.count(first)
        for first, second, western in _EASTERN
    )
    return sum(map(len, odd)) <= 0.02 * total and not is_eastern
