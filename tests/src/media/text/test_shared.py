"""Passages of texts, and the share of a text that is in others."""

import numpy as np
import pyarrow as pa
import pytest

from headrace.media.text.near import passages
from headrace.media.text.texts import from_column


def _passages(*texts):
    return passages(from_column(pa.array(texts, pa.string()), (256,)))


def _shares(texts, known):
    return _passages(*texts).shares(np.unique(_passages(*known).keys)).tolist()


POEM = "春眠不觉晓，处处闻啼鸟。\n夜来风雨声，花落知多少。"


def test_the_lines_of_a_chinese_text_are_parted_by_punctuation():
    half = "春眠不觉晓，处处闻啼鸟。\n白日依山尽，黄河入海流。"
    assert _shares([POEM, half, "春眠不觉，夜来风雨。"], [POEM]) == [1, 0.5, 0]


def test_short_lines_and_names_do_not_count():
    speech = "ROMEO:\nBut soft, what light through yonder window breaks?\nI dare not."
    other = "JULIET:\nO Romeo, wherefore art thou called by that name?\nI dare not."
    assert _shares([speech, other], [speech]) == [
        pytest.approx(49 / (6 + 49 + 10), abs=0.02),
        0,
    ]
    assert _shares(["ROMEO:\nI dare not."], [speech]) == [0]


def test_case_is_ignored_and_nothing_known_gives_nothing():
    line = "But soft, what light through yonder window breaks"
    assert _shares([line.upper()], [line]) == [1]
    assert _shares([line], []) == [0]
    assert _passages().shares(np.empty(0, np.uint64)).shape == (0,)
