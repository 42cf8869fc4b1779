"""Texts in files and cells: their encodings, decoding to padded UTF-8, and sizes."""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from headrace.media.forms import (
    Counts,
    Decoded,
    Flags,
    Problem,
    Sizes,
    Stack,
    bytes_of,
)
from headrace.media.text.form import LONGEST, SIZES, limit_of
from headrace.media.text.personal import mask
from headrace.media.text.texts import Texts, clean, cut, is_empty, note_of_cut
from headrace.records import Form

_MANY = 16  # texts; a look at each of fewer is faster than one at all of them
# The limit of a table's cell too.
BYTES_LIMIT = 2**24
_UTF_16 = {codecs.BOM_UTF16_LE: "UTF-16 LE", codecs.BOM_UTF16_BE: "UTF-16 BE"}
# The share of valid non-ASCII sequences: Chinese in GB18030 has 10 % by chance.
_NEARLY_UTF_8 = 0.5


def decode_files(files: Sequence[bytes], form: Form) -> Decoded:
    """Decode texts to UTF-8 bytes, each in an array padded with zeros.

    The encodings are UTF-8, with or without a byte order mark, and UTF-16 with one.
    Sources bring others to UTF-8. A text in another encoding, with a NUL or with
    nothing visible becomes a `Problem`. A text longer than the form is cut, and
    the personal data that the form names is masked.
    """
    notes: Counter[str] = Counter()
    problems: dict[int, Problem] = {}
    texts = list(files)
    rows: Iterable[int] = range(len(files))
    if len(files) >= _MANY:
        rows = np.flatnonzero(~_are_plain(files, form)).tolist()
    for row in rows:
        text = _decode(texts[row], form, notes)
        if isinstance(text, Problem):
            problems[row] = text
        else:
            texts[row] = text
    return Decoded(_padded(texts, problems, form), problems, notes)


def _are_plain(files: Sequence[bytes], form: Form) -> Flags:
    """Which files are texts as they are to be, found without a look at each, ``(n,)``.

    They are UTF-8 without a NUL or a carriage return, not longer than the form takes,
    and begin and end with a visible character: of ASCII, or of U+4000 to U+9FFF, which
    is Chinese.
    """
    plain, lengths = np.zeros(len(files), bool), bytes_of(files)
    if form.mask:
        return plain
    rows = np.flatnonzero((lengths > 0) & (lengths <= limit_of(form)))
    joined = b"".join([files[row] for row in rows.tolist()])
    if not joined or not _is_utf_8(joined):
        return plain
    data, ends = np.frombuffer(joined, np.uint8), np.cumsum(lengths[rows])
    first, last = data[ends - lengths[rows]], data[ends - 1]
    # Only a whole character of three bytes can begin there, as all is UTF-8.
    is_chinese = _is_lead(data[np.maximum(ends - 3, 0)]) & (ends > 2)
    plain[rows] = _is_visible(first) | _is_lead(first)
    plain[rows] &= _is_visible(last) | is_chinese
    odd = np.flatnonzero((data == 0) | (data == ord("\r")))
    plain[rows[np.searchsorted(ends, odd, "right")]] = False
    return plain


def _is_utf_8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_visible(values: Texts) -> Flags:
    return np.asarray((values > 0x20) & (values < 0x7F))


def _is_lead(values: Texts) -> Flags:
    """Whether bytes begin a character of U+4000 to U+9FFF."""
    return np.asarray((values >= 0xE4) & (values <= 0xE9))


def _padded(texts: Sequence[bytes], problems: Iterable[int], form: Form) -> list[Stack]:
    """The texts that have no problem, in arrays that are padded with zeros."""
    sizes = _sizes_of(bytes_of(texts), form)
    sizes[list(problems)] = 0
    stacks = []
    for size in dict.fromkeys(sizes[sizes > 0].tolist()):
        rows = np.flatnonzero(sizes == size).tolist()
        padded = b"".join([texts[row].ljust(size, b"\0") for row in rows])
        stacks.append(Stack(rows, np.frombuffer(padded, np.uint8).reshape(-1, size)))
    return stacks


def _sizes_of(lengths: Counts, form: Form) -> Counts:
    """The size of the array for each text, by its length in bytes, ``(n,)``."""
    if form.shape:
        return np.full(len(lengths), form.shape[0])
    sizes = np.array(SIZES)
    return sizes[np.searchsorted(sizes, np.minimum(lengths, LONGEST))]


def sizes(files: Sequence[bytes], form: Form) -> Sizes:
    """At most how many bytes each text has as padded UTF-8."""
    lengths = bytes_of(files)
    return Sizes(lengths.astype(float), _sizes_of(2 * lengths, form).astype(float))


def _decode(data: bytes, form: Form, notes: Counter[str]) -> bytes | Problem:
    if len(data) > BYTES_LIMIT:
        reason = f"{len(data):,} bytes; a text has at most {BYTES_LIMIT:,}"
        return Problem("too_large", reason)
    decoded = _text_of(data)
    if isinstance(decoded, Problem):
        return decoded
    text, encoding = decoded
    text = clean(text)
    if (place := text.find("\0")) >= 0:
        return Problem("encoding", f"a NUL character at {place:,}: no text")
    if is_empty(text):
        return Problem("empty", "nothing of it can be seen" if text else "it is empty")
    if encoding:
        notes[f"read as {encoding}"] += 1
    if form.mask:
        text, masked = mask(text, form.mask)
        notes.update(f"masked {kind}" for kind in masked)
    encoded, limit = text.encode(), limit_of(form)
    if len(encoded) > limit:
        notes[note_of_cut(limit)] += 1
        encoded = cut(encoded, limit)
    return encoded


def as_utf_8(data: bytes) -> bytes:
    """A text with a mark of UTF-16 in UTF-8; others, and damage, as they are read."""
    return data.decode("utf-16", "replace").encode() if data[:2] in _UTF_16 else data


def _text_of(data: bytes) -> tuple[str, str] | Problem:
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
    if is_nearly_utf_8(data):
        return Problem("encoding", f"damaged UTF-8 at {where}")
    return Problem(
        "encoding",
        f"neither UTF-8 (see {where}) nor UTF-16 with a byte order mark; save it as "
        "UTF-8",
    )


def is_nearly_utf_8(data: bytes) -> bool:
    """Whether bytes that are not UTF-8 are a text in it that was damaged."""
    text = data.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    good = sum(not c.isascii() for c in text) - bad
    return good > _NEARLY_UTF_8 * (good + bad)
