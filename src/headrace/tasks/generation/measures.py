"""Measures of texts, generated or real: variety and repetition."""

from __future__ import annotations

from collections.abc import Sequence

GRAM = 4  # characters


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
