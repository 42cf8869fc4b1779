"""The medium text, as `headrace.media.Medium` describes it.

A snapshot holds a text as UTF-8 bytes, zero-padded; a model takes it as a string.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from headrace.media.text import near
from headrace.media.text.bounds import expectations
from headrace.media.text.facts import columns
from headrace.media.text.files import decode_files, sizes
from headrace.media.text.pages import as_html
from headrace.media.text.texts import (
    Texts,
    as_column,
    check_input,
    decode_array,
    fit,
    form_of,
    from_column,
    raw,
    usual_shape,
    variants,
)
from headrace.records import DataDescription

if TYPE_CHECKING:
    from headrace.media.chunks import Chunk

__all__ = ["as_column", "as_html", "check_input", "columns", "decode_array", "raw"]
__all__ += ["decode_files", "expectations", "fit", "form_of", "from_column", "sizes"]
__all__ += ["usual_shape", "variants"]

DTYPE = np.dtype(np.uint8)
PADDED = True
CACHED = True
DUPLICATES = "keep"  # short texts repeat: 7 % of real text messages
NEAR_LIMIT = 0.06  # 5 % of real poems are near copies of another
SCALE_COLUMNS: tuple[str, ...] = ()
DEFAULT_BUILDER = BEST_BUILDER = "bag_of_ngrams"
UNITS = "bytes"
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
IS_TEXT = True
SUFFIXES = (".txt", ".text", ".md", ".rst", ".log")
MAGICS: tuple[bytes, ...] = ()
EXAMPLE = ("text", "txt")
SOURCES = (
    "Give a table with a column of texts and one of labels (CSV, TSV, JSON lines or "
    "Parquet), or a folder (or zip or tar) with one sub-folder of .txt files per class."
)
SAMPLE_INCHES = None  # reports show texts in tables


def alike(first: Texts, second: Texts, data: DataDescription) -> npt.NDArray[np.bool_]:
    """Which of pairs of texts ``(n, bytes)`` are nearly the same, ``(n,)``."""
    return near.alike(as_column(first), as_column(second))


def suggest(chunks: Iterable[Chunk]) -> dict[str, Any]:
    """No fields: the form of texts follows from the longest."""
    return {}


def preprocessing(data: DataDescription) -> Any:
    """None: each family of models has its own tokenizer."""
    return None
