r"""Texts as UTF-8 bytes, zero-padded at the end: from cells, from files, for a model.

A text is changed as little as possible: line ends become ``\n``, a byte order mark and
outer white space are removed, and personal data is masked where a pipeline asks for it.
There is no Unicode normalisation: callers of a model do not normalise either, and NFKC
removes differences that may matter to a class (``①``, ``ﬁ``, full width).
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.errors import InputError, SourceError, SpecError
from headrace.media.arrow import offsets_of
from headrace.media.forms import (
    Counts,
    Decoded,
    Fitted,
    Flags,
    Payload,
    Problem,
    Shape,
    Sizes,
    Stack,
    bytes_of,
)
from headrace.media.text.personal import mask
from headrace.records import DataDescription, Form
from headrace.spec import DataSpec

Texts = npt.NDArray[np.uint8]

LONGEST = 8192  # bytes, where no length is declared
_DECLARED = range(4, 65_537)  # the shortest holds any one character
# Lengths are rounded up to one of these, so that there are few shapes.
_SIZES = (64, 128, 256, 512, 1024, 2048, 4096, LONGEST)
_VISIBLE = re.compile(
    r"[^\s\x00-\x1f\x7f-\xa0\xad\u034f\u200b-\u200f\u2028-\u202e"
    r"\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0]"
)
_MANY = 16  # texts; a look at each of fewer is faster than one at all of them
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


def form_of(data: DataSpec) -> Form:
    """The form of texts that a pipeline declares.

    Raises:
        SpecError: it is not the form of a text.
    """
    shape = data.shape
    if shape is not None and (len(shape) != 1 or shape[0] not in _DECLARED):
        raise SpecError(
            f"data.shape is {list(shape)}; a text is [bytes], from {_DECLARED[0]} to "
            f"{_DECLARED[-1]:,}.",
            "Write for example shape = [512]; a Chinese character takes 3 bytes.",
        )
    return Form(shape=shape, mask=data.mask)


def limit_of(form: Form) -> int:
    """The most bytes of a text."""
    return form.shape[0] if form.shape else LONGEST


def _sizes_of(lengths: Counts, form: Form) -> Counts:
    """The size of the array for each text, by its length in bytes, ``(n,)``."""
    if form.shape:
        return np.full(len(lengths), form.shape[0])
    sizes = np.array(_SIZES)
    return sizes[np.searchsorted(sizes, np.minimum(lengths, LONGEST))]


def usual_shape(shapes: Counter[Shape], form: Form) -> Shape:
    """The declared shape, or the longest."""
    return form.shape or max(shapes, default=(_SIZES[0],))


def clean(text: str) -> str:
    r"""A text with line ends ``\n``, no byte order mark and no outer white space."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.removeprefix("\ufeff").strip()


def is_empty(text: str) -> bool:
    """Whether a text has no visible character."""
    return _VISIBLE.search(text) is None


def cut(data: bytes, limit: int) -> bytes:
    """The whole characters at a text's start that fit into ``limit`` bytes."""
    return data[:limit].decode("utf-8", "ignore").encode()


def note_of_cut(limit: int) -> str:
    """The note on texts that were cut."""
    return f"cut to {limit:,} bytes"


def decode_array(
    array: Payload, form: Form, names: Sequence[str], where: str, high: float | None
) -> tuple[Texts, str]:
    """Refuse arrays, which hold no texts.

    Raises:
        SourceError: always.
    """
    name = names[0] if names else "the array"
    raise SourceError(
        f"{where}: {name} is from an array of {array.dtype}; texts were expected.",
        "Give a table with a column of texts, or a folder of .txt files for each "
        "class.",
    )


def fit(payload: Texts, shape: Shape) -> Fitted:
    """Pad or cut texts ``(n, bytes)``; a character is never cut in two."""
    kept = np.ones(len(payload), bool)
    missing = shape[0] - payload.shape[1]
    if missing >= 0:
        return Fitted(np.pad(payload, ((0, 0), (0, missing))), kept, None)
    short = payload[:, : shape[0]].copy()
    following = payload[:, shape[0]]
    # Where the cut is within a character, its first bytes are removed too.
    torn = np.flatnonzero(following & 0xC0 == 0x80)
    for place in range(shape[0] - 1, shape[0] - 4, -1):
        leads = short[torn, place] >= 0xC0
        short[torn, place] = 0
        torn = torn[~leads]
    cut = np.count_nonzero(following)
    notes = Counter({note_of_cut(shape[0]): cut} if cut else {})
    return Fitted(short, kept, None, notes)


def lengths_of(payload: Texts) -> Counts:
    """The bytes of each text, ``(n,)``; no text holds a zero."""
    return np.asarray(np.count_nonzero(payload, axis=1))


def as_column(payload: Texts) -> pa.Array:
    """Texts ``(n, bytes)`` as a column of strings."""
    ends = np.concatenate([[0], np.cumsum(lengths_of(payload))])
    data = pa.py_buffer(payload[payload != 0])
    kind = pa.large_string()
    if ends[-1] < 2**31:
        kind, ends = pa.string(), ends.astype(np.int32)
    return pa.Array.from_buffers(kind, len(payload), [None, pa.py_buffer(ends), data])


def from_column(column: pa.Array, shape: Shape) -> Texts:
    """A column of strings as uint8 ``(n, bytes)``."""
    starts, data = offsets_of(column)
    payload = np.zeros((len(column), *shape), np.uint8)
    if len(column) and data is not None:
        inside = np.arange(shape[0]) < np.diff(starts)[:, np.newaxis]
        payload[inside] = np.frombuffer(data, np.uint8)[starts[0] : starts[-1]]
    return payload


def raw(payload: Texts) -> Payload:
    """Texts as a saved model takes them: an array of ``str``, ``(n,)``."""
    return np.array(as_column(payload).to_pylist(), object)


def as_stored(items: Payload, data: DataDescription) -> Texts:
    """Texts ``(n,)`` that `check_input` has returned, as uint8 ``(n, bytes)``."""
    return from_column(pa.array(items, pa.string()), data.shape)


def variants(payload: Texts) -> list[Payload]:
    """The one type of input that a saved model takes."""
    return [raw(payload)]


def check_input(x: Any, data: DataDescription) -> Payload:
    """Check the input of a saved model; texts are cut and masked as in training.

    Args:
        x: one text, or a list, an array or a series of them.

    Returns:
        an array of ``str``, ``(n,)``.

    Raises:
        InputError: the input is no text, or a text is empty.
    """
    items = [x] if isinstance(x, str) else x
    if np.ndim(items) > 1:
        raise InputError(
            f"The input has shape {np.shape(items)}; expected (n,) texts.",
            "Give a list of texts.",
        )
    if hasattr(items, "tolist"):
        items = np.asarray(items, object).reshape(-1).tolist()
    if not isinstance(items, (list, tuple)) or not items:
        received = "no texts" if isinstance(items, (list, tuple)) else type(x).__name__
        raise InputError(
            f"The input is {received}; expected a text or a list of texts.",
            "Give for example ['See you at nine.'].",
        )
    texts = [_checked(item, place, data) for place, item in enumerate(items)]
    return np.array(texts, object)


def _checked(item: Any, place: int, data: DataDescription) -> str:
    if not isinstance(item, str):
        raise InputError(
            f"Item {place} of the input is {type(item).__name__} {item!r:.40}; "
            "expected str.",
            "Decode bytes first; leave missing values out.",
        )
    text = clean(item)
    if "\0" in text or is_empty(text):
        problem = "holds a NUL character" if "\0" in text else "is an empty text"
        raise InputError(
            f"Item {place} of the input {problem}: {item!r:.40}.", "Leave it out."
        )
    try:
        encoded = mask(text, data.mask)[0].encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"Item {place} of the input holds half a character at {error.start}.",
            "Decode its bytes with their encoding, without surrogateescape.",
        ) from None
    return cut(encoded, data.shape[0]).decode()


def decode_files(files: Sequence[bytes], form: Form) -> Decoded:
    """Decode texts to UTF-8 bytes, each in an array padded with zeros.

    The encodings are UTF-8, with or without a byte order mark; UTF-16 with one; and
    GB18030, which includes GBK and GB 2312. A text in another encoding, with a NUL or
    with nothing visible becomes a `Problem`. A text longer than the form is cut, and
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
    rows = np.flatnonzero((lengths > 0) & (lengths <= limit_of(form)))
    joined = b"".join([files[row] for row in rows.tolist()])
    if form.mask or not joined or not _is_utf_8(joined):
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
    if _is_nearly_utf_8(data):
        return Problem("encoding", f"damaged UTF-8 at {where}")
    if text := _as_chinese(data):
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
