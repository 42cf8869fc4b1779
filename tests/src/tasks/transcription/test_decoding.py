"""Decoding, probabilities and edits, against all paths and a plain table."""

import itertools

import numpy as np
import pytest
from tests.src.tasks.transcription.conftest import spelled

from headrace.tasks.transcription.decoding import (
    Edit,
    align,
    confidences,
    edit_counts,
    greedy,
    log_likelihood,
    text_of,
    texts,
)


def collapsed(path, blank):
    """A path without repeats and blanks, as the definition says."""
    merged = [index for index, _ in itertools.groupby(path)]
    return [index for index in merged if index != blank]


@pytest.mark.parametrize("target", [[0, 0], [0, 1], [1, -1], [-1, -1], [1, 1]])
def test_the_probability_is_the_sum_over_all_paths(target):
    random = np.random.default_rng(0)
    outputs = random.dirichlet(np.ones(3), (4, 5)).astype(np.float32)
    true = [index for index in target if index >= 0]
    paths = [
        p for p in itertools.product(range(3), repeat=5) if collapsed(p, 2) == true
    ]
    wanted = [
        np.log(sum(np.prod(row[np.arange(5), list(path)]) for path in paths))
        for row in outputs.astype(np.float64)
    ]
    found = log_likelihood(outputs, np.array([target] * 4))
    assert found == pytest.approx(wanted, rel=1e-6)


def test_a_transcript_that_needs_more_steps_has_no_path():
    outputs = np.full((1, 3, 2), 0.5, np.float32)
    assert log_likelihood(outputs, np.array([[0, 0, 0]])) == -np.inf
    assert np.isfinite(log_likelihood(outputs, np.array([[0, 0, -1]]))).all()


def test_long_rows_do_not_underflow():
    outputs = np.full((1, 5000, 3), 1 / 3, np.float32)
    value = log_likelihood(outputs, np.array([[0, 1]]))[0]
    assert -5000 * np.log(3) < value < 0


def test_a_row_has_the_same_probability_beside_a_much_longer_one():
    random = np.random.default_rng(0)
    outputs = random.dirichlet(np.ones(5), (2, 2000)).astype(np.float32)
    targets = np.full((2, 900), -1)
    targets[0, :3] = 0, 1, 1
    targets[1] = random.integers(0, 4, 900)
    alone = log_likelihood(outputs[:1], targets[:1, :3])
    assert np.isfinite(alone).all()
    assert log_likelihood(outputs, targets)[0] == pytest.approx(alone[0], rel=1e-9)


def test_greedy_merges_repeats_and_drops_blanks():
    paths = np.array([[2, 0, 0, 2, 0, 1], [2, 2, 2, 2, 2, 2]])
    assert greedy(np.eye(3, dtype=np.float32)[paths]) == [[0, 0, 1], []]


def test_texts_are_spelled(words, characters):
    assert texts(spelled(["two one two", "one"], words), words) == [
        "two one two",
        "one",
    ]
    said = ["wordaa a", "a"]
    assert texts(spelled(said, characters), characters) == said
    assert text_of([0, 7], words) == "one \ufffd"


def test_confidence_is_a_probability_that_grows_with_that_of_the_steps(words):
    low, high = (confidences(spelled(["one two"], words, p))[0] for p in (0.7, 0.99))
    assert 0 < low < high < 1
    assert high > 0.9


def plain_distance(one, other):
    table = list(range(len(other) + 1))
    for row, left in enumerate(one, start=1):
        before, table[0] = table[0], row
        for column, right in enumerate(other, start=1):
            change = before + (left != right)
            before = table[column]
            table[column] = min(table[column] + 1, table[column - 1] + 1, change)
    return table[-1]


def test_edits_are_those_of_the_plain_table():
    random = np.random.default_rng(0)
    pairs = [
        [random.integers(0, 3, random.integers(0, 8)).tolist() for _ in range(200)]
        for _ in range(2)
    ]
    wanted = [plain_distance(*pair) for pair in zip(*pairs, strict=True)]
    assert edit_counts(*pairs).tolist() == wanted
    assert edit_counts([[], []], [[], ["a"]]).tolist() == [0, 1]
    named = [[[str(v) for v in row] for row in side] for side in pairs]
    aligned = [align(*pair) for pair in zip(*named, strict=True)]
    assert [sum(e.true != e.answer for e in row) for row in aligned] == wanted
    assert [[e.true for e in row if e.true] for row in aligned] == named[0]


def test_an_alignment_names_each_edit():
    edits = align("a b c".split(), "a x c d".split())
    assert edits == [
        Edit("a", "a"),
        Edit("b", "x"),
        Edit("c", "c"),
        Edit(None, "d"),
    ]
    assert align(["a"], []) == [Edit("a", None)]
