"""Texts as code points, and back."""

import numpy as np
import pytest
from tests.src.tasks.generation.models import DATA

from headrace.errors import InputError
from headrace.tasks.generation.data import QUESTIONS, codes_of, text_of

TEXTS = ["hello\nworld", "春眠不觉晓", "a\U0001f600b"]


def test_code_points_and_stored_bytes_are_each_others_reverse():
    raw = QUESTIONS.check_input(TEXTS, DATA)
    assert raw.dtype == np.int32
    assert raw.shape == (3, 16)
    assert [text_of(row[row != 0]) for row in raw] == TEXTS
    stored = QUESTIONS.as_stored(raw, DATA)
    assert stored.dtype == QUESTIONS.DTYPE
    assert stored.shape == (3, 512)
    assert np.array_equal(QUESTIONS.raw(stored), raw)
    assert np.array_equal(QUESTIONS.variants(stored)[0], raw)
    assert QUESTIONS.of(stored, None, [], DATA) is stored


def test_code_points_are_an_input_themselves():
    raw = QUESTIONS.check_input(TEXTS, DATA)
    assert np.array_equal(QUESTIONS.check_input(raw, DATA), raw)
    with pytest.raises(InputError, match="no code points of Unicode"):
        QUESTIONS.check_input(np.array([[0x110000]]), DATA)
    with pytest.raises(InputError, match=r"code points are \(n, characters\)"):
        QUESTIONS.check_input(np.array([97, 98]), DATA)


def test_texts_are_cleaned_and_empty_ones_refused():
    assert QUESTIONS.check_input(" a\r\nb ", DATA)[0, :3].tolist() == [97, 10, 98]
    with pytest.raises(InputError, match="is an empty text"):
        QUESTIONS.check_input(["a", " "], DATA)
    assert QUESTIONS.raw(np.zeros((2, 512), np.uint8)).shape == (2, 16)
    assert codes_of("").shape == (0,)
