"""Variety and repetition counted by hand; the longest run against a search of all."""

import numpy as np
import pytest

from headrace.tasks.generation import measures
from headrace.tasks.generation.data import codes_of
from headrace.tasks.generation.measures import Corpus


def _longest(text, documents):
    runs = (
        stop - start
        for start in range(len(text))
        for stop in range(start + 1, len(text) + 1)
        if any(text[start:stop] in document for document in documents)
    )
    return max(runs, default=0)


def test_it_finds_what_a_search_of_all_runs_finds():
    source = np.random.default_rng(0)
    for _ in range(20):
        sizes = source.integers(1, 40, 14)
        texts = ["".join(source.choice([*"abc"], size)) for size in sizes]
        documents, asked = texts[:5], [*texts[5:], texts[0], texts[1][1:], "", "xyz"]
        corpus = Corpus([codes_of(text) for text in documents])
        found = corpus.longest_runs([codes_of(text) for text in asked])
        assert found.tolist() == [_longest(text, documents) for text in asked]


def test_a_run_does_not_cross_the_bound_of_two_documents():
    corpus = Corpus([codes_of("one two"), codes_of("three")])
    assert corpus.longest_runs([codes_of("twothree")]).tolist() == [5]
    assert Corpus([]).longest_runs([codes_of("one")]).tolist() == [0]


def test_variety_and_repetition():
    assert measures.distinct_share(["abab", "abab"], 2) == pytest.approx(2 / 6)
    assert measures.repetition(["abab", "abcd", "x"], 2) == pytest.approx(1 / 6)
    assert measures.distinct_share([""]) == 1
    assert measures.repetition([""]) == 0
