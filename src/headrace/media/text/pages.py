"""Texts in pages."""

from __future__ import annotations

import html
import unicodedata

import numpy as np

from headrace.media.text.texts import Texts
from headrace.records import DataDescription

_MAX_CHARACTERS = 1000


def as_html(sample: Texts, data: DataDescription) -> str:
    """One text ``(bytes,)`` as escaped HTML."""
    text = text_of(sample)
    more = f" … ({len(text):,} in all)" if len(text) > _MAX_CHARACTERS else ""
    visible = "".join(map(_escape_invisible, text[:_MAX_CHARACTERS]))
    return f"<bdi>{html.escape(visible)}</bdi>{more}"


def text_of(item: Texts) -> str:
    """One text ``(bytes,)`` as a string."""
    return np.asarray(item).tobytes().rstrip(b"\0").decode()


def _escape_invisible(character: str) -> str:
    r"""A character; an invisible one as ``\uXXXX`` or ``\UXXXXXXXX``."""
    is_hidden = unicodedata.category(character) in ("Cc", "Cf", "Co", "Cs")
    if character in "\n\t\u200d" or not is_hidden:
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 2**16 else f"\\U{code:08x}"
