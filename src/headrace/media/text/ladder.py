"""The robustness ladder of texts, as `headrace.media.Ladder` describes it."""

from __future__ import annotations

import numpy as np

from headrace.media.text.texts import Texts, as_column
from headrace.records import DataDescription

UNITS = {
    "typos": "share of characters that are swapped, doubled or lost",
    "dropped words": "share of words",
}
LEVELS = {
    "typos": (0.02, 0.05, 0.1, 0.2),
    "dropped words": (0.1, 0.25, 0.5, 0.75),
}


def rungs(data: DataDescription) -> list[tuple[str, float]]:
    """All families, each with all of its levels, for any data."""
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
    change = _typos if family == "typos" else _dropped
    texts = as_column(items).to_pylist()
    encoded = [(change(text, level, random) or text[:1]).encode() for text in texts]
    width = max([items.shape[1], *map(len, encoded)])
    return np.array([np.frombuffer(e.ljust(width, b"\0"), np.uint8) for e in encoded])


def _dropped(text: str, share: float, random: np.random.Generator) -> str:
    # Texts without spaces, such as Chinese ones, have characters in place of words.
    words, joint = text.split(), " "
    if len(words) == 1 and len(text) > 20:
        words, joint = list(text), ""
    pairs = zip(words, random.random(len(words)), strict=True)
    return joint.join([word for word, draw in pairs if draw >= share] or words[:1])


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
