"""Decodes texts, the cells of tables and ``.txt`` files, to UTF-8."""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Sequence

import numpy as np

from headrace.media.forms import Decoded, Payload, Problem, Size
from headrace.media.text import texts
from headrace.media.text.personal import mask
from headrace.records import Form

# The limit of a table's cell too.
BYTES_LIMIT = 2**24
_UTF_16 = {codecs.BOM_UTF16_LE: "UTF-16 LE", codecs.BOM_UTF16_BE: "UTF-16 BE"}
# The share of non-ASCII characters that are marks, common ones of GB 2312, or of four
# bytes: 97 % in simplified texts, 69 % in traditional ones, but 12 % in Big5 decoded as
# GB18030, and none in Western letters.
_CHINESE = 0.45
_COMMON = {0xA1, 0xA2, 0xA3, 0xA8, *range(0xB0, 0xD8)}
# The share of valid non-ASCII sequences: Chinese in GB18030 has 10 % by chance.
_NEARLY_UTF_8 = 0.5


def decode_files(files: Sequence[bytes], form: Form) -> Decoded:
    """Decode texts to UTF-8 bytes, each in an array padded with zeros.

    The encodings are UTF-8, with or without a byte order mark; UTF-16 with one; and
    GB18030, which includes GBK and GB 2312. A text in another encoding, with a NUL or
    with nothing visible becomes a `Problem`. A text longer than the form is cut, and
    the personal data that the form names is masked.
    """
    notes: Counter[str] = Counter()
    return Decoded([_decode(data, form, notes) for data in files], notes)


def sizes(files: Sequence[bytes], form: Form) -> list[Size]:
    """At most how many bytes each text has as padded UTF-8."""
    limit = texts.limit_of(form)
    return [
        Size(len(data), texts.size_of(min(2 * len(data), limit), form))
        for data in files
    ]


def _decode(data: bytes, form: Form, notes: Counter[str]) -> Payload | Problem:
    if len(data) > BYTES_LIMIT:
        reason = f"{len(data):,} bytes; a text has at most {BYTES_LIMIT:,}"
        return Problem("too_large", reason)
    decoded = text_of(data)
    if isinstance(decoded, Problem):
        return decoded
    text, encoding = decoded
    text = texts.clean(text)
    if "\0" in text:
        return Problem(
            "encoding", f"a NUL character at {text.index(chr(0)):,}: no text"
        )
    if texts.is_empty(text):
        return Problem("empty", "nothing of it can be seen" if text else "it is empty")
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
    """A decoded text, and its encoding; empty for UTF-8."""
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
    """The text in GB18030; empty where the bytes are no Chinese."""
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError:
        return ""
    total = common = 0
    for letter, count in Counter(c for c in text if not c.isascii()).items():
        code = letter.encode("gb18030")
        is_common = code[0] in _COMMON and (code[1] >= 0xA1 or code[0] == 0xA8)
        total += count
        common += count * (len(code) == 4 or is_common)
    return text if common >= _CHINESE * total else ""
