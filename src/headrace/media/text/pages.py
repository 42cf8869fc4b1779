"""Texts as people read them: on a page, or drawn beside pictures."""

from __future__ import annotations

import functools
import html
import textwrap
import unicodedata
from typing import Any

import numpy as np

from headrace.media.text.texts import Texts
from headrace.records import DataDescription

_SHOWN, _DRAWN, _WIDTH, _LINES = 1000, 160, 26, 8
_FONTS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC"),
    *("WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Microsoft YaHei", "SimHei"),
    *("PingFang SC", "Hiragino Sans GB", "Heiti SC", "Arial Unicode MS"),
    *("Droid Sans Fallback", "AR PL UMing CN"),
)


def as_html(sample: Texts, data: DataDescription) -> str:
    """One text ``(bytes,)`` for a page, safe to open."""
    text = text_of(sample)
    more = f" … ({len(text):,} characters)" if len(text) > _SHOWN else ""
    return f"<bdi>{html.escape(_shown(text[:_SHOWN]))}</bdi>{more}"


def text_of(item: Texts) -> str:
    """One text ``(bytes,)`` as a string."""
    return np.asarray(item).tobytes().rstrip(b"\0").decode()


def _shown(text: str) -> str:
    """A text whose characters that nobody sees can be seen."""
    return "".join(
        f"\\u{ord(c):04x}"
        if c not in "\n\t"
        and unicodedata.category(c) in ("Cc", "Cf", "Co", "Cs")
        and c != "\u200d"
        else c
        for c in text
    )


def draw_sample(axes: Any, sample: Texts, data: DataDescription) -> None:
    """Draw the beginning of one text ``(bytes,)`` on matplotlib axes."""
    text = text_of(sample)
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    width = _WIDTH // 2 if 2 * wide > len(text) else _WIDTH
    shown = _shown(text[:_DRAWN]) + (" …" if len(text) > _DRAWN else "")
    families, drawable = _fonts()
    # Each character that no font has would be a warning.
    known = "".join(c if c.isspace() or ord(c) in drawable else "□" for c in shown)
    lines = [line for part in known.split("\n") for line in textwrap.wrap(part, width)]
    axes.text(
        0,
        1,
        "\n".join(lines[:_LINES]),
        va="top",
        fontsize=7,
        family=[*families],
        transform=axes.transAxes,
        parse_math=False,
    )


@functools.cache
def _fonts() -> tuple[tuple[str, ...], frozenset[int]]:
    """The fonts, one with Chinese where there is one, and the characters they have."""
    from matplotlib import font_manager

    here = set(font_manager.get_font_names())
    families = ("DejaVu Sans", *[name for name in _FONTS if name in here][:1])
    drawable: set[int] = set()
    for family in families:
        font = font_manager.get_font(font_manager.findfont(family))
        drawable.update(font.get_charmap())
    return families, frozenset(drawable)
