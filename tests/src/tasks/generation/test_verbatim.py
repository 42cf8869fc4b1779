"""The longest run of a text that is in others, against a search of all runs."""

import numpy as np

from headrace.tasks.generation.documents import codes_of
from headrace.tasks.generation.verbatim import Corpus


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
