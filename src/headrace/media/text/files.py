"""From the bytes of one text, a table's cell or a ``.txt`` file, to UTF-8."""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Sequence

import numpy as np

from headrace.media.forms import Decoded, Payload, Problem, Size
from headrace.media.text import texts
from headrace.media.text.personal import mask
from headrace.records import Form

# As a cell of a table.
BYTES_LIMIT = 2**24
_UTF_16 = {codecs.BOM_UTF16_LE: "UTF-16 LE", codecs.BOM_UTF16_BE: "UTF-16 BE"}
# Of the characters that are not ASCII, so many are marks, or common ones of GB 2312,
# or written in four bytes: 97 % of simplified texts, 69 % of traditional ones; of
# Big5 read as GB18030, 12 %, and of Western letters, none.
_CHINESE = 0.45
_COMMON = {0xA1, 0xA2, 0xA3, 0xA8, *range(0xB0, 0xD8)}
# Of the sequences that are not ASCII: Chinese in GB18030 has 10 % by chance.
_NEARLY_UTF_8 = 0.5


def decode_files(files: Sequence[bytes], form: Form) -> Decoded:
    """Decode texts to UTF-8 bytes, each in an array padded with zeros.

    UTF-8, with or without a byte order mark; UTF-16 with one; GB18030, and so GBK and
    GB 2312. What is nothing of these, holds NUL or says nothing is a `Problem`.

    Args:
        files: the bytes of each text.
        form: a text that is longer than its shape is cut, and what its mask names is
            masked.
    """
    items: list[Payload | Problem] = []
    notes: Counter[str] = Counter()
    for data in files:
        items.append(_decode(data, form, notes))
    return Decoded(items, notes)


def sizes(files: Sequence[bytes], form: Form) -> list[Size]:
    """At most how many bytes each text has as UTF-8, and padded."""
    limit = texts.limit_of(form)
    return [
        Size(len(data), texts.size_of(min(2 * len(data), limit), form))
        for data in files
    ]


def _decode(data: bytes, form: Form, notes: Counter[str]) -> Payload | Problem:
    if len(data) > BYTES_LIMIT:
        reason = f"{len(data):,} bytes; a text has at most {BYTES_LIMIT:,}"
        return Problem("too_large", reason)
    found = text_of(data)
    if isinstance(found, Problem):
        return found
    text, encoding = found
    text = texts.clean(text)
    if "\0" in text:
        return Problem(
            "encoding", f"a NUL character at {text.index(chr(0)):,}: no text"
        )
    if texts.is_empty(text):
        return Problem(
            "empty", "it is empty" if not text else "nothing of it can be seen"
        )
    if encoding:
        notes[f"read as {encoding}"] += 1
    if form.mask:
        text, masked = mask(text, form.mask)
        notes.update(f"masked {kind}" for kind in masked)
    encoded, limit = text.encode(), texts.limit_of(form)
    if len(encoded) > limit:
        notes[texts.note_of_cut(limit)] += 1
        encoded = texts.cut(encoded, limit)
    size = texts.size_of(len(encoded), form)
    return np.frombuffer(encoded.ljust(size, b"\0"), np.uint8)


def text_of(data: bytes) -> tuple[str, str] | Problem:
    """A text, and its encoding where that is not UTF-8."""
    name = _UTF_16.get(data[:2])
    try:
        return data.decode("utf-16" if name else "utf-8"), name or ""
    except UnicodeDecodeError as error:
        where = f"byte {error.start:,} ({data[error.start]:#04x})"
    if name:
        return Problem("encoding", f"{name} by its first bytes, but damaged at {where}")
    if b"\0" in data:
        return Problem("encoding", f"no text: NUL at byte {data.index(0):,}")
    if _is_nearly_utf_8(data):
        return Problem("encoding", f"damaged UTF-8 at {where}")
    text = _as_chinese(data)
    if text:
        return text, "GB18030"
    return Problem(
        "encoding",
        f"neither UTF-8 (see {where}), UTF-16 with a byte order mark, nor GB18030; "
        "save it as UTF-8",
    )


def _is_nearly_utf_8(data: bytes) -> bool:
    text = data.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    good = sum(not c.isascii() for c in text) - bad
    return good > _NEARLY_UTF_8 * (good + bad)


def _as_chinese(data: bytes) -> str:
    """A text in GB18030; empty where it is none."""
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError:
        return ""
    other = common = 0
    for letter, count in Counter(c for c in text if not c.isascii()).items():
        code = letter.encode("gb18030")
        is_common = code[0] in _COMMON and (code[1] >= 0xA1 or code[0] == 0xA8)
        other += count
        common += count * (len(code) == 4 or is_common)
    return text if common >= _CHINESE * other else ""
