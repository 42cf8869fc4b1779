"""Words and characters of a text."""

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.figure import Figure

from headrace.media.text import MEDIUM as text
from headrace.media.text.pieces import MOST, spans_of
from headrace.media.text.texts import from_column
from headrace.records import DataDescription

DATA = DataDescription(medium="text", shape=(256,))


def stored(value):
    return from_column(pa.array([value]), DATA.shape)[0]


@pytest.mark.parametrize(
    ("value", "pieces"),
    [
        ("You won, claim!", ["You", "won,", "claim!"]),
        ("床前明月光", ["床", "前", "明", "月", "光"]),
        ("ok 你好 Tom", ["ok", "你", "好", "Tom"]),
        ("ที่นี่", ["ที่", "นี่"]),  # vowels and tones above stay with their letter
        ("ひらがな", ["ひ", "ら", "が", "な"]),
        ("word", ["word"]),
    ],
)
def test_words_are_pieces_or_characters_where_no_blanks_divide_words(value, pieces):
    assert list(text.pieces(stored(value), DATA).names) == pieces


def test_a_removed_word_is_cut_out_with_the_blanks_after_it():
    pieces = text.pieces(stored("one two  three"), DATA)
    assert text.raw(pieces.without([[0], [1], [2]])).tolist() == [
        "two  three",
        "one three",
        "one two",
    ]
    glued = text.pieces(stored("月光x"), DATA)
    assert text.raw(glued.without([[1]])).tolist() == ["月x"]


def test_the_only_word_leaves_an_empty_text():
    pieces = text.pieces(stored("word"), DATA)
    assert text.raw(pieces.without([[0]])).tolist() == [""]


def test_words_are_cut_out_together():
    pieces = text.pieces(stored(" one two  three"), DATA)
    given = pieces.without([[0, 2], [2, 1], [0, 1, 2]])
    assert text.raw(given).tolist() == ["two", "one", ""]


def test_a_long_text_has_few_pieces_that_cover_all_words():
    words = [f"w{number}" for number in range(200)]
    spans = spans_of(" ".join(words))
    assert len(spans) == MOST
    value = " ".join(words)
    assert " ".join(value[start:end] for start, end in spans) == value


def test_a_map_colours_words_by_their_values():
    axes = Figure().add_subplot()
    values = np.array([[1.0, -0.5, 0.0]])
    text.draw_map(axes, stored("free the cat"), values, DATA)
    words = {one.get_text(): one.get_bbox_patch().get_facecolor() for one in axes.texts}
    assert words.keys() == {"free", "the", "cat"}
    assert words["free"][0] > words["free"][2]
    assert words["the"][2] > words["the"][0]
    assert words["cat"][:3] == (1, 1, 1)


def test_a_text_without_room_ends_in_dots():
    axes = Figure().add_subplot()
    item = from_column(pa.array(["long " * 400]), (2048,))[0]
    data = DataDescription(medium="text", shape=(2048,))
    count = len(text.pieces(item, data).names)
    text.draw_map(axes, item, np.zeros((1, count)), data)
    assert axes.texts[-1].get_text() == "…"
