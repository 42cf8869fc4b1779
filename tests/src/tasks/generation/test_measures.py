"""Variety, repetition, form and rhyme of texts, counted by hand."""

import pytest

from headrace.tasks.generation import measures

SPRING = "春眠不觉晓，处处闻啼鸟。\n夜来风雨声，花落知多少。"


def test_variety_and_repetition():
    assert measures.distinct_share(["abab", "abab"], 2) == pytest.approx(2 / 6)
    assert measures.repetition(["abab", "abcd", "x"], 2) == pytest.approx(1 / 6)
    assert measures.distinct_share([""]) == 1
    assert measures.repetition([""]) == 0


def test_form_is_one_length_of_all_lines():
    assert measures.lines_of(SPRING)[1] == "处处闻啼鸟"
    assert measures.keeps_form(SPRING, (5, 7))
    assert not measures.keeps_form(SPRING, (7,))
    assert not measures.keeps_form(SPRING + "\n床前明月", (5, 7))
    assert not measures.keeps_form("春眠不觉晓", (5, 7))
    assert measures.form_share([SPRING, "一，二。"], (5, 7)) == 0.5
    assert measures.form_share([], (5, 7)) == 0


def test_rhyme_is_of_even_lines():
    rhymes = {"鸟": "ao", "少": "ao", "月": "ue", "霜": "ang", "乡": "ang", "明": "ing"}

    def finals(character):
        return [rhymes[character]] if character in rhymes else []

    assert measures.rhyme_share([SPRING], finals) == 1
    one = "a月，b霜。\nc月，d乡。\ne月，f明。"
    assert measures.rhyme_share([one], finals) == pytest.approx(2 / 3)
    assert measures.rhyme_share([one, SPRING], finals) == pytest.approx(4 / 5)
    assert measures.rhyme_share(["a月，b霜。"], finals) is None


def test_the_rhymes_of_today():
    pytest.importorskip("pypinyin", reason="the extra `chinese` is not installed")
    finals = measures.mandarin_finals()
    assert finals is not None
    assert set(finals("霜")) == {"ang"} == set(finals("光"))
    assert set(finals("鸟")) & set(finals("少"))
    assert not finals("a")
    assert measures.rhyme_share([SPRING], finals) == 1
