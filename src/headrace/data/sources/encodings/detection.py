"""Detects the encoding of a file of text; refuses a file whose encoding is uncertain.

Only people notice text that was decoded in a wrong encoding, so nothing is guessed.
"""

from __future__ import annotations

import codecs
import importlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.data.sources.encodings.hanzi import is_chinese
from headrace.data.sources.encodings.western import is_western
from headrace.data.sources.places.files import File
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


@dataclass(frozen=True, slots=True)
class Encoding:
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
        bad_at: the place of the first byte that is not UTF-8; -1 if there is none.
        good, bad: numbers of non-ASCII characters, and of bytes that are not UTF-8.
    """

    size: int = 0
    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, int))
    nulls: list[int] = field(default_factory=lambda: [0, 0])
    bad_at: int = -1
    good: int = 0
    bad: int = 0


def find_encoding(file: File, declared: str | None = None) -> Encoding:
    """The encoding of a file, from all of its bytes.

    Args:
        file: unpacked, if it was compressed.
        declared: the encoding in ``data.encoding``; the file must be valid in it.

    Raises:
        SourceError: it is no text, is damaged, is not in the declared encoding, or its
            encoding is uncertain.
    """
    if declared:
        _check_strict(file, Encoding(declared, f"{declared} that data.encoding says"))
        return Encoding(declared, declared)
    head = file.head(4)
    for mark, codec, name in _BOMS:
        if head.startswith(mark):
            return _with_mark(file, Encoding(codec, name))
    census = _census(file)
    utf_16 = _utf_16(file, census)
    if utf_16:
        return utf_16
    controls = int(census.counts[_CONTROLS].sum())
    escapes = int(census.counts[_ESCAPE])
    if max(controls, escapes * _MAX_CONTROLS / _MAX_ESCAPES) > (
        _MAX_CONTROLS * census.size
    ):
        raise SourceError(
            f"{file.where} is not text: {controls:,} of its {census.size:,} bytes are "
            "control characters.",
            "Give text, or data in a format that is known.",
        )
    if census.bad_at < 0:
        return Encoding("utf-8", "UTF-8")
    if census.good > 4 * census.bad and census.good > 8:
        return Encoding("utf-8", "UTF-8, damaged in places", "surrogateescape")
    return _single_or_double_byte(file, census)


def _with_mark(file: File, encoding: Encoding) -> Encoding:
    if encoding.codec == "utf-8-sig":
        census = _census(file)
        if census.bad > max(1, census.good // 4):
            raise _undecodable(file, encoding, census.bad_at)
        errors = "surrogateescape" if census.bad else "strict"
        return Encoding(encoding.codec, encoding.name, errors)
    _check_strict(file, encoding)
    return encoding


def _undecodable(file: File, encoding: Encoding, place: int) -> SourceError:
    return SourceError(
        f"{file.where} is not the {encoding.name}: it breaks off or is damaged at byte "
        f"{place:,}.",
        "Download or make it again, or name its encoding: data.encoding "
        "(`--encoding` of headrace score).",
    )


def _blocks(file: File) -> Iterator[bytes]:
    with file.open() as stream:
        while block := stream.read(_BLOCK):
            yield block


def _check_strict(file: File, encoding: Encoding) -> None:
    decoder = codecs.getincrementaldecoder(encoding.codec)()
    done = 0
    try:
        for block in _blocks(file):
            decoder.decode(block)
            done += len(block)
        decoder.decode(b"", True)
    except UnicodeDecodeError as error:
        raise _undecodable(file, encoding, done + error.start) from None


def _census(file: File) -> _Census:
    census = _Census()
    strict = codecs.getincrementaldecoder("utf-8")()
    lenient = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    for block in _blocks(file):
        values = np.frombuffer(block, np.uint8)
        census.counts += np.bincount(values, minlength=256)
        if not values.all():
            # A block may begin at an odd place of the file.
            for place in (0, 1):
                nulls = values[(place + census.size) % 2 :: 2] == 0
                census.nulls[place] += int(np.count_nonzero(nulls))
        if census.bad_at < 0:
            census.bad_at = _first_bad(strict, block, census.size)
        if values.max() > 127 or lenient.getstate()[0]:
            _count(lenient.decode(block), census)
        census.size += len(block)
    _count(lenient.decode(b"", True), census)
    if census.bad_at < 0 and census.bad:
        census.bad_at = census.size
    return census


def _first_bad(decoder: codecs.IncrementalDecoder, block: bytes, done: int) -> int:
    pending = len(decoder.getstate()[0])
    try:
        decoder.decode(block)
    except UnicodeDecodeError as error:
        return done - pending + error.start
    return -1


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
    text = _decoded(file, encoding.codec)
    return encoding if text and _usual_share(_codes(text)) >= _USUAL else None


def _usual_share(codes: npt.NDArray[np.uint32]) -> float:
    """The share of usual characters; half, if the byte order is wrong."""
    usual = np.zeros(len(codes), bool)
    for first, last in _RANGES:
        usual |= (codes >= first) & (codes <= last)
    return float(usual.mean())


def _decoded(file: File, codec: str) -> str | None:
    """The first non-ASCII text of a file; None if it is not valid in the encoding."""
    decoder = codecs.getincrementaldecoder(codec)()
    parts: list[str] = []
    size = 0
    try:
        for block in _blocks(file):
            text = decoder.decode(block)
            if size < _EVIDENCE and not (parts and text.isascii()):
                parts.append(text)
                size += len(text)
        parts.append(decoder.decode(b"", True))
    except UnicodeDecodeError:
        return None
    return "".join(parts)


def _single_or_double_byte(file: File, census: _Census) -> Encoding:
    text = _decoded(file, "gb18030")
    if text is not None and is_chinese(_codes(text)):
        return Encoding("gb18030", "GBK (GB18030)")
    text = _decoded(file, "cp1252")
    if text is not None and is_western(text):
        return Encoding("cp1252", "Windows-1252 (Latin-1)")
    if census.bad <= max(1, census.size // 2000):
        return Encoding("utf-8", "UTF-8, damaged in places", "surrogateescape")
    raise SourceError(
        f"{file.where} is not UTF-8 (byte {census.bad_at:,} is "
        f"{_byte_at(file, census.bad_at)}), and whether it is GBK, Windows-1252 or "
        f"another encoding cannot be told beyond doubt.{_guess(file)}",
        "Save it as UTF-8, or name its encoding: data.encoding (`--encoding` of "
        "headrace score).",
    )


def _guess(file: File) -> str:
    """The guess of charset-normalizer, which may be wrong, for the message only.

    It is imported by name, since no result of a stage depends on its version.
    """
    normalizer: Any = importlib.import_module("charset_normalizer")
    best = normalizer.from_bytes(file.head(_GUESSED_BY)).best()
    return f" It is likely to be {best.encoding}." if best else ""


def _byte_at(file: File, place: int) -> str:
    with file.open() as stream:
        while place:
            place -= len(stream.read(min(_BLOCK, place))) or place
        return f"0x{stream.read(1).hex().upper() or 'nothing'}"
