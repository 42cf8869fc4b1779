"""The medium text, as `headrace.media.interface.Medium` describes it.

A snapshot holds a text as UTF-8 bytes, zero-padded; a model takes it as a string.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Any

import numpy as np

from headrace.display.signs import visible
from headrace.media.chunks import Chunk
from headrace.media.interface import Medium
from headrace.media.text.columns import (
    columns,
    expectations,
    fingerprints,
    slice_columns,
)
from headrace.media.text.files import as_utf_8, decode_files, sizes
from headrace.media.text.form import LONGEST, form_of
from headrace.media.text.near import alike
from headrace.media.text.pieces import draw_map, pieces
from headrace.media.text.texts import (
    Texts,
    as_column,
    as_stored,
    check_input,
    decode_array,
    fit,
    from_column,
    raw,
    usual_shape,
)
from headrace.records import DataDescription

FIELDS = {
    "mask": (
        "tuple[Literal['email', 'phone', 'id_number', 'card_number'], ...]",
        {
            "default": (),
            "description": "texts only: kinds of personal data that are replaced by a "
            "mark",
        },
    )
}
AUGMENT = {
    "token_drop": (
        "float",
        {
            "default": 0.0,
            "ge": 0,
            "lt": 1,
            "examples": [0.1],
            "description": "texts only: the share of tokens, of whatever the family "
            "takes for one, that are replaced by the unknown one",
        },
    )
}
_MAX_CHARACTERS = 1000
_SEPARATORS = ("\n\n", "\n")
_LEAST_PARTS = 20


class Text(Medium):
    """Texts; reports show them in tables, so none is drawn."""

    DTYPE = np.dtype(np.uint8)
    PADDED = True
    CACHED = True
    DUPLICATES = "keep"  # short texts repeat: 7 % of real text messages
    NEAR_LIMIT = 0.06  # 5 % of real poems are near copies of another
    RELATIVE_COLUMNS = ("length_excess", "foreign", "label_in_text")
    DEFAULT_BUILDER = BEST_BUILDER = "bag_of_ngrams"
    UNITS = "bytes"
    IS_TEXT = True
    SUFFIXES = (".txt", ".text", ".md", ".rst", ".log")
    MEDIA_TYPES = ("text/plain",)
    EXAMPLE = ("text", "txt")
    SOURCES = (
        "Give a table with a column of texts and one of labels (CSV, TSV, JSON lines "
        "or Parquet), or a folder (or zip or tar) with one folder of .txt files for "
        "each class."
    )
    DIVIDES_ITEMS = True

    form_of = staticmethod(form_of)
    decode_array = staticmethod(decode_array)
    sizes = staticmethod(sizes)
    decode_files = staticmethod(decode_files)
    usual_shape = staticmethod(usual_shape)
    fit = staticmethod(fit)
    as_column = staticmethod(as_column)
    from_column = staticmethod(from_column)
    columns = staticmethod(columns)
    fingerprints = staticmethod(fingerprints)
    slice_columns = staticmethod(slice_columns)
    expectations = staticmethod(expectations)
    alike = staticmethod(alike)
    raw = staticmethod(raw)
    as_stored = staticmethod(as_stored)
    check_input = staticmethod(check_input)
    pieces = staticmethod(pieces)
    draw_map = staticmethod(draw_map)

    def suggest(self, chunks: Iterable[Chunk]) -> dict[str, Any]:
        """``separator`` for one text without a label, or for some that are too long.

        The form of texts follows from the longest.
        """
        chunk = next(iter(chunks), None)
        if chunk is None or not isinstance(chunk.items, list) or any(chunk.labels):
            return {}
        too_long = sum(len(item) > LONGEST for item in chunk.items)
        if len(chunk.items) > 1 and 2 * too_long <= len(chunk.items):
            return {}
        text = as_utf_8(max(chunk.items, key=len))
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        for separator in _SEPARATORS:
            parts = sum(bool(part.strip()) for part in text.split(separator.encode()))
            if parts >= _LEAST_PARTS:
                return {"separator": separator}
        return {}

    def preprocessing(self, data: DataDescription) -> Any:
        """None: each family of models has its own tokenizer."""
        return None

    def as_html(self, sample: Texts, data: DataDescription) -> str:
        """One text ``(bytes,)`` as escaped HTML."""
        text = sample.tobytes().rstrip(b"\0").decode()
        more = f" … ({len(text):,} in all)" if len(text) > _MAX_CHARACTERS else ""
        return f"<bdi>{html.escape(visible(text[:_MAX_CHARACTERS]))}</bdi>{more}"


MEDIUM = Text()
