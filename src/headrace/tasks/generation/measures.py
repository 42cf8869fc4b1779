"""Measures of texts, generated or real: variety, repetition, form and rhyme."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any

GRAM = 4  # characters
_LINE_ENDS = re.compile(r"[\s,.;:!?，。；：！？、]+")
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af]")

Finals = Callable[[str], Collection[str]]


def grams(text: str, length: int = GRAM) -> list[str]:
    """The runs of some characters of a text."""
    return [text[start : start + length] for start in range(len(text) - length + 1)]


def distinct_share(texts: Sequence[str], length: int = GRAM) -> float:
    """The share of runs of all texts together that differ; 1 where there are none.

    It falls with the amount of text: compare texts of the same sizes. Source: J. Li and
    others, A Diversity-Promoting Objective Function for Neural Conversation Models
    (2016).
    """
    every = [gram for text in texts for gram in grams(text, length)]
    return len(set(every)) / len(every) if every else 1.0


def repetition(texts: Sequence[str], length: int = GRAM) -> float:
    """The mean share of the runs of a text that are in it before; 0 where it has none.

    Source: S. Welleck and others, Neural Text Generation with Unlikelihood Training
    (2020).
    """
    shares = [
        1 - len(set(own)) / len(own) for text in texts if (own := grams(text, length))
    ]
    return sum(shares) / len(shares) if shares else 0.0


def lines_of(text: str) -> list[str]:
    """The lines of a poem: what is between marks of punctuation and line breaks."""
    return [line for line in _LINE_ENDS.split(text) if line]


def keeps_form(text: str, lengths: Collection[int]) -> bool:
    """Whether all lines of a text have one length, which is one of ``lengths``.

    A text of a single line has no form to keep.
    """
    sizes = {len(line) for line in lines_of(text)}
    return len(sizes) == 1 and sizes <= {*lengths} and len(lines_of(text)) > 1


def form_share(texts: Sequence[str], lengths: Collection[int]) -> float:
    """The share of texts that keep the form; 0 where there are none."""
    return sum(keeps_form(text, lengths) for text in texts) / max(len(texts), 1)


def rhyme_share(texts: Sequence[str], finals: Finals) -> float | None:
    """The share of even lines that end in the commonest rhyme of their text.

    Texts of fewer than two even lines are left out, and lines whose last character has
    no known rhyme.

    Args:
        texts: poems.
        finals: the rhymes of a character; it may have several.

    Returns:
        None where there is no such line.
    """
    rhyming = total = 0
    for text in texts:
        ends = [finals(line[-1]) for line in lines_of(text)[1::2]]
        rhymed = [rhymes for rhymes in ends if rhymes]
        if len(rhymed) < 2:
            continue
        common = Counter(rhyme for rhymes in rhymed for rhyme in {*rhymes})
        rhyming += common.most_common(1)[0][1]
        total += len(rhymed)
    return rhyming / total if total else None


def mandarin_finals() -> Finals | None:
    """The rhymes of Chinese characters in today's pronunciation, without tones.

    Tang poems rhyme as Middle Chinese did, so that some real rhymes are lost.

    Returns:
        None where pypinyin is not installed (``pip install headrace[chinese]``).
    """
    try:
        pypinyin: Any = importlib.import_module("pypinyin")
    except ImportError:
        return None

    cache: dict[str, frozenset[str]] = {}

    def finals(character: str) -> frozenset[str]:
        if character not in cache:
            is_han = _HAN.fullmatch(character) is not None
            style = pypinyin.Style.FINALS
            read = pypinyin.pinyin(character, style, heteronym=True, errors="ignore")
            rhymes = {_rhyme(final) for final in (read[0] if read else []) if final}
            cache[character] = frozenset(rhymes if is_han else ())
        return cache[character]

    return finals


def _rhyme(final: str) -> str:
    """A final without its medial: ``iang``, ``uang`` and ``ang`` rhyme."""
    bare = re.sub(r"^(i|u|v|ü)(?=[aeo])", "", final)
    return {"in": "en", "ing": "eng", "un": "en", "vn": "en", "ui": "ei"}.get(
        bare, bare
    )
