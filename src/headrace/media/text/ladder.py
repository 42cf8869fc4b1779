"""The robustness ladder of texts, as `headrace.media.Ladder` describes it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from headrace.media.text.texts import Texts, as_column
from headrace.media.text.traditional import TRADITIONAL
from headrace.records import DataDescription

UNITS = {
    "typos": "share of characters that are swapped, doubled or lost",
    "upper case": "share of words",
    "lower case": "share of texts",
    "dropped words": "share of words",
    "truncation": "share of words left",
    "wrong encoding": "share of texts of UTF-8 read as Latin-1",
    "dropped characters": "share of characters",
    "full width": "share of texts whose letters, digits and marks are full-width",
    "traditional": "share of texts in traditional Chinese characters",
}
LEVELS = {
    "typos": (0.02, 0.05, 0.1, 0.2),
    "upper case": (0.25, 0.5, 1.0),
    "lower case": (0.5, 1.0),
    "dropped words": (0.1, 0.25, 0.5, 0.75),
    "truncation": (0.75, 0.5, 0.25),
    "wrong encoding": (0.25, 0.5, 1.0),
    "dropped characters": (0.02, 0.05, 0.1, 0.2),
    "full width": (0.5, 1.0),
    "traditional": (0.5, 1.0),
}
# U+FF01 to U+FF5E are the visible characters of ASCII, as wide as Chinese ones.
_FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)} | {0x20: 0x3000}


def rungs(data: DataDescription) -> list[tuple[str, float]]:
    """Families and levels."""
    return [(family, level) for family in UNITS for level in LEVELS[family]]


def shifted(
    items: Texts,
    family: str,
    level: float,
    data: DataDescription,
    random: np.random.Generator,
) -> Texts:
    """Texts uint8 ``(n, bytes)`` after one shift; the array may become wider.

    A text of which nothing would be left keeps its first word, or its first character
    where it is written without spaces.
    """
    if family not in UNITS:
        raise ValueError(f"texts have no family {family!r}")
    texts = [
        _one(text, family, level, random) or text[:1]
        for text in as_column(items).to_pylist()
    ]
    encoded = [text.encode() for text in texts]
    width = max([items.shape[1], *map(len, encoded)])
    return np.array([np.frombuffer(e.ljust(width, b"\0"), np.uint8) for e in encoded])


def _one(text: str, family: str, level: float, random: np.random.Generator) -> str:
    if family == "typos":
        return _typos(text, level, random)
    if family == "dropped characters":
        draws = random.random(len(text)).tolist()
        pairs = zip(text, draws, strict=True)
        return "".join(c for c, draw in pairs if draw >= level).strip()
    if family in _OF_TEXTS:
        return _OF_TEXTS[family](text) if random.random() < level else text
    # Texts without spaces, such as Chinese ones, have characters in place of words.
    words, joint = text.split(), " "
    if len(words) == 1 and len(text) > 20:
        words, joint = list(text), ""
    draws = random.random(len(words))
    if family == "upper case":
        parts = [
            word.upper() if draw < level else word
            for word, draw in zip(words, draws, strict=True)
        ]
    elif family == "dropped words":
        kept = zip(words, draws, strict=True)
        parts = [word for word, draw in kept if draw >= level] or words[:1]
    else:
        parts = words[: max(1, round(level * len(words)))]
    return joint.join(parts)


def _typos(text: str, share: float, random: np.random.Generator) -> str:
    characters = list(text)
    places = np.flatnonzero(random.random(len(characters)) < share)
    for place, kind in zip(places, random.integers(3, size=len(places)), strict=True):
        if kind == 0:
            characters[place] = ""
        elif kind == 1:
            characters[place] *= 2
        elif place + 1 < len(characters):
            pair = characters[place : place + 2]
            characters[place : place + 2] = pair[::-1]
    return "".join(characters).strip()


def _read_wrongly(text: str) -> str:
    """UTF-8 read as Latin-1, without the control characters that arise."""
    return "".join(c for c in text.encode().decode("latin-1") if c.isprintable())


# What is done to whole texts; the level is their share.
_OF_TEXTS: dict[str, Callable[[str], str]] = {
    "lower case": str.lower,
    "wrong encoding": _read_wrongly,
    "full width": lambda text: text.translate(_FULL_WIDTH),
    "traditional": lambda text: text.translate(TRADITIONAL),
}
