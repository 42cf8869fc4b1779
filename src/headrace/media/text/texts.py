r"""Texts as UTF-8 bytes, zero-padded at the end: their form, and for a model.

A text is changed as little as possible: line ends become ``\n``, a byte order mark and
outer white space are removed, and personal data is masked where a pipeline asks for it.
There is no Unicode normalisation: callers of a model do not normalise either, and NFKC
removes differences that may matter to a class (``①``, ``ﬁ``, full width).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.errors import InputError, SourceError
from headrace.media.arrow import offsets_of
from headrace.media.forms import Counts, Fitted, Payload, Shape
from headrace.media.text.form import SIZES
from headrace.media.text.personal import mask
from headrace.records import DataDescription, Form

Texts = npt.NDArray[np.uint8]

_VISIBLE = re.compile(
    r"[^\s\x00-\x1f\x7f-\xa0\xad\u034f\u200b-\u200f\u2028-\u202e"
    r"\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0]"
)


def usual_shape(shapes: Counter[Shape], form: Form) -> Shape:
    """The declared shape, or the longest."""
    return form.shape or max(shapes, default=(SIZES[0],))


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
    valid = np.ones(len(payload), bool)
    missing = shape[0] - payload.shape[1]
    if missing >= 0:
        return Fitted(np.pad(payload, ((0, 0), (0, missing))), valid, None)
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
    return Fitted(short, valid, None, notes)


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
