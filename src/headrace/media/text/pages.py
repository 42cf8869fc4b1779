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
    return f"<bdi>{html.escape(_shown(text[:_SHOWN]))}</bdi>{more}"


def text_of(item: Texts) -> str:
    """One text ``(bytes,)`` as a string."""
    return np.asarray(item).tobytes().rstrip(b"\0").decode()


def _shown(text: str) -> str:
    r"""A text with invisible characters written as ``\uXXXX``."""
    return "".join(
        f"\\u{ord(c):04x}"
        if c not in "\n\t"
        and unicodedata.category(c) in ("Cc", "Cf", "Co", "Cs")
        and c != "\u200d"
        else c
        for c in text
    )
