"""Variety and repetition of texts, counted by hand."""

import pytest

from headrace.tasks.generation import measures


def test_variety_and_repetition():
    assert measures.distinct_share(["abab", "abab"], 2) == pytest.approx(2 / 6)
    assert measures.repetition(["abab", "abcd", "x"], 2) == pytest.approx(1 / 6)
    assert measures.distinct_share([""]) == 1
    assert measures.repetition([""]) == 0
