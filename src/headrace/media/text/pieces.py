"""The words or characters of a text, and maps drawn over it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.display.signs import visible
from headrace.media.forms import Pieces, Removal
from headrace.media.text.texts import Texts, as_column, from_column
from headrace.records import DataDescription

MOST = 64  # pieces; neighbouring words of a longer text are one piece
# Thai, Lao, Burmese, Khmer, kana and Han are written without blanks.
_ALONE = (
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    r"\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]"
)
_PIECE = re.compile(rf"{_ALONE}|(?:(?!{_ALONE})\S)+")
_LINE, _LINES = 66, 9  # characters and lines of a drawn text
_PALEST, _SHADES = 1.0, {True: (0.85, 0.1, 0.1), False: (0.15, 0.3, 0.9)}

Span = tuple[int, int]


def pieces(item: Texts, data: DataDescription) -> Pieces:
    """The words of a text ``(bytes,)``; characters where no blanks divide words.

    A removed word is cut out with the blanks after it. A text has at most `MOST`
    pieces.
    """
    text = as_column(item[np.newaxis]).to_pylist()[0]
    spans = spans_of(text)

    def without(removals: Sequence[Removal]) -> Texts:
        cut = [_cut(text, [spans[number] for number in own]) for own in removals]
        return from_column(pa.array(cut, pa.string()), item.shape)

    return Pieces(
        names=[text[start:end] for start, end in spans],
        shape=(1, len(spans)),
        present=np.ones(len(spans), bool),
        without=without,
    )


def spans_of(text: str) -> list[Span]:
    """The first character of each piece of a text, and the first after it."""
    spans = [match.span() for match in _PIECE.finditer(text)]
    whole: list[Span] = []
    for start, end in spans:  # a combining mark belongs to the letter before it
        if (
            whole
            and whole[-1][1] == start
            and unicodedata.category(text[start])[0] == "M"
        ):
            whole[-1] = whole[-1][0], end
        else:
            whole.append((start, end))
    parts = np.array_split(np.arange(len(whole)), min(MOST, len(whole)) or 1)
    return [(whole[p[0]][0], whole[p[-1]][1]) for p in parts if len(p)]


def _cut(text: str, spans: Sequence[Span]) -> str:
    for start, end in sorted(spans, reverse=True):
        before, after = text[:start], text[end:]
        if not before or before[-1].isspace():
            after = after.lstrip()
        text = before + after
    return text.strip()


def draw_map(
    axes: Any, item: Texts, values: npt.NDArray[Any], data: DataDescription
) -> None:
    """Draw a text in lines, each of its words on a ground of its value's colour."""
    text = as_column(item[np.newaxis]).to_pylist()[0]
    flat, spans = values.reshape(-1), spans_of(text)
    limit = float(np.abs(flat).max(initial=0)) or 1.0
    axes.set(xlim=(0, _LINE), ylim=(_LINES, 0))
    axes.axis("off")
    options = {"fontsize": 7, "va": "center", "ha": "left", "clip_on": True}
    for (column, line), word, value in _places(text, spans, flat.tolist()):
        strength = abs(value) / limit
        shade = [_PALEST + strength * (c - _PALEST) for c in _SHADES[value > 0]]
        ground = {"facecolor": shade, "edgecolor": "none", "pad": 1}
        ink = "white" if strength > 0.7 else "black"
        axes.text(column, line + 0.5, word, bbox=ground, color=ink, **options)


def _places(
    text: str, spans: Sequence[Span], values: Sequence[float]
) -> Iterator[tuple[tuple[float, float], str, float]]:
    """Column and line, text and value of each drawn word; the last one may be dots."""
    column, line, end = 0, 0, 0
    for (start, stop), value in zip(spans, values, strict=True):
        word = visible(" ".join(text[start:stop].split()))
        width = sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in word)
        column += int(start > end and column > 0)
        if column and column + width > _LINE:
            if line + 1 == _LINES:
                yield (column, line), "…", 0.0
                return
            column, line = 0, line + 1
        yield (column, line), word, value
        column, end = column + width, stop
