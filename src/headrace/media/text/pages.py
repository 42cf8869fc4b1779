"""Texts in pages."""

from __future__ import annotations

import html
import unicodedata

import numpy as np

from headrace.media.text.texts import Texts
from headrace.records import DataDescription

_SHOWN = 1000  # characters


def as_html(sample: Texts, data: DataDescription) -> str:
    """One text ``(bytes,)`` as escaped HTML."""
    text = text_of(sample)
    more = f" … ({len(text):,} characters)" if len(text) > _SHOWN else ""
    shown = "".join(map(_shown, text[:_SHOWN]))
    return f"<bdi>{html.escape(shown)}</bdi>{more}"


def text_of(item: Texts) -> str:
    """One text ``(bytes,)`` as a string."""
    return np.asarray(item).tobytes().rstrip(b"\0").decode()


def _shown(character: str) -> str:
    r"""A character; one that nobody sees as ``\uXXXX``."""
    is_hidden = unicodedata.category(character) in ("Cc", "Cf", "Co", "Cs")
    if character in "\n\t\u200d" or not is_hidden:
        return character
    return f"\\u{ord(character):04x}"
