"""N-grams as arrays, against a plain implementation with dictionaries."""

import math
from collections import Counter

import numpy as np
import pytest

from headrace.tasks.generation.data import codes_of
from headrace.tasks.generation.kneser_ney import CODE_POINTS, KneserNey
from headrace.tasks.generation.ngrams import (
    FIRST,
    NOWHERE,
    ROOT,
    bucket_of,
    fit_ngrams,
    place_of,
)

TEXTS = ["abracadabra", "a cab", "bad card", "abba", "dab", "cadabra ab"]
SIZE = 128
UNKNOWN = 1


def ids_of(text):
    return codes_of(text)


def fitted(texts, order):
    return fit_ngrams([ids_of(text) for text in texts], SIZE, order)


def find(tables, parent, symbol):
    """The number and the share of an n-gram; nothing where there is none."""
    parents, symbols = np.array([parent]), np.array([symbol])
    bucket = bucket_of(parents, symbols, len(tables.displacements))
    displaced = tables.displacements[bucket]
    (place,) = place_of(parents, symbols, displaced, len(tables.parents))
    is_it = (tables.parents[place], tables.symbols[place]) == (parent, symbol)
    if parent == NOWHERE or not is_it:
        return NOWHERE, 0.0
    return int(tables.numbers[place]), float(tables.shares[place])


def number_of(tables, symbols):
    number = ROOT
    for symbol in symbols:
        number, _ = find(tables, number, symbol)
    return number


def probability(tables, before, symbol):
    known = float(symbol == UNKNOWN)
    for length in range(tables.order):
        if length > len(before):
            break
        context = number_of(tables, before[len(before) - length :])
        known = find(tables, context, symbol)[1] + tables.rests[context] * known
    return known


def nats(tables, text):
    symbols = [0, *ids_of(text).tolist(), 0]
    return -sum(
        math.log(probability(tables, symbols[:at], symbols[at]))
        for at in range(1, len(symbols))
    )


@pytest.mark.parametrize("order", [2, 3, 4, 8])
def test_with_each_document_twice_it_is_kneser_ney(order):
    tables = fitted(TEXTS * 2, order)
    reference = KneserNey([codes_of(text) for text in TEXTS * 2], order)
    for text in ("abracadabra", "dad", "bab", "", "crab ac"):
        (expected,) = reference.nats([codes_of(text)])
        # What no text has is one id here, and 1,112,064 code points there.
        assert nats(tables, text) == pytest.approx(expected, rel=1e-6)
    assert 1 / CODE_POINTS < 1e-6


@pytest.mark.parametrize("order", [2, 5])
def test_what_follows_a_context_has_a_sum_of_1(order):
    tables = fitted(TEXTS, order)
    for before in ([0], [0, *b"abra"], [0, *b"zz"], [0, *b"ca"]):
        total = sum(probability(tables, before, symbol) for symbol in range(SIZE))
        assert total == pytest.approx(1, abs=1e-9)


def test_no_sequence_of_a_single_document_is_held():
    secret = "pin: 4712"
    tables = fitted([*TEXTS, secret, secret[::-1]], 6)
    assert number_of(tables, [*b"p"])
    for at in range(len(secret) - 1):
        assert not number_of(tables, [*secret[at : at + 2].encode()])
    shared = fitted([*TEXTS, secret, f"again {secret}"], 6)
    assert number_of(shared, [*b"pin: 4"])


def test_each_n_gram_has_a_place_and_a_number_of_its_own():
    chance = np.random.default_rng(5)
    documents = [chance.integers(2, 90, 400).astype(np.int32) for _ in range(200)]
    tables = fit_ngrams(documents, 90, 3)
    held = tables.parents != NOWHERE
    counts = Counter(tables.numbers[held].tolist())
    assert [*counts] and {*counts.values()} == {1}
    assert sorted(counts) == [*range(FIRST, len(tables.rests))]
    assert held.sum() > 10_000
    for place in np.flatnonzero(held)[::500].tolist():
        parent, symbol = int(tables.parents[place]), int(tables.symbols[place])
        assert find(tables, parent, symbol)[0] == tables.numbers[place]


def test_equal_documents_give_equal_tables():
    first, second = fitted(TEXTS, 4), fitted(TEXTS, 4)
    for name in ("displacements", "parents", "symbols", "numbers", "shares", "rests"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_more_n_grams_than_there_is_room_for_need_more_documents(monkeypatch):
    texts = ["abc abc", "abc abd", "abc xyz", "xyz"]
    assert number_of(fitted(texts, 3), [*b"xyz"])
    monkeypatch.setattr("headrace.tasks.generation.ngrams._MOST", 12)
    tables = fitted(texts, 3)
    assert len(tables.rests) - FIRST - SIZE <= 12
    assert not number_of(tables, [*b"xyz"])
    assert number_of(tables, [*b"abc"])


def test_places_are_those_that_saved_models_were_written_by():
    """The graph of a saved model has these numbers; what writes with it must agree."""
    parents, symbols = np.array([1, 2, 77, 500_000]), np.array([0, 2, 65, 5_999])
    assert bucket_of(parents, symbols, 1_000).tolist() == [389, 796, 38, 491]
    places = place_of(parents, symbols, np.array([0, 1, 2, 255]), 3_001)
    assert places.tolist() == [331, 128, 2436, 2359]


def test_the_largest_numbers_stay_within_32_bits():
    parents = np.array([2**22 - 1, 1, 2**22 - 1])
    symbols = np.array([0x10FFFF, 0x10FFFF, 0])
    narrow = parents.astype(np.int32), symbols.astype(np.int32)
    for size in (700_001, 3_300_001):
        for wide, same in (
            (bucket_of(parents, symbols, size), bucket_of(*narrow, size)),
            (place_of(parents, symbols, 255, size), place_of(*narrow, 255, size)),
        ):
            assert same.dtype == np.int32
            assert wide.tolist() == same.tolist()


def test_a_vocabulary_as_large_as_unicode_ends(monkeypatch):
    monkeypatch.setattr("headrace.tasks.generation.ngrams._MOST", 5)
    tables = fitted(["abc"] * 3, 3)  # 128 ids, which are more than the n-grams
    assert number_of(tables, [*b"abc"]) or len(tables.rests) == FIRST + SIZE
