"""Transcripts as indices in a vocabulary of words or of characters."""

import numpy as np
from tests.src.tasks.transcription.conftest import WORDS, described, encoded

from headrace.media.chunks import Chunk, Source
from headrace.tasks.transcription.data import (
    LABELS,
    MOST_WORDS,
    plain,
    scripts_of,
    sequences,
    words_of,
)


def test_transcripts_have_single_blanks_and_one_form():
    chunk = Chunk(None, [b""] * 3, [" one  two ", "cafe\u0301", "one"], ["a", "b", "c"])
    source = Source(kind="table", uri="x")
    (read,) = LABELS.read(iter([chunk]), source)
    assert read.labels == ["one two", "caf\u00e9", "one"]
    assert source.notes == [
        "2 transcripts were brought to single blanks between words and to Unicode's "
        "form NFC"
    ]


def test_few_words_are_the_vocabulary(words):
    assert (words.unit, words.tokens, words.longest) == ("words", ("one", "two"), 3)
    targets = encoded(["two one two", "one", "three"], words)
    assert targets.dtype == np.int32
    assert targets.tolist() == [[1, 0, 1, -1], [0, -1, -1, -1], [2, -1, -1, -1]]
    assert LABELS.target_shape(words) == (4,)


def test_many_words_are_spelled(characters):
    assert characters.unit == "characters"
    assert characters.tokens[0] == " "
    targets = encoded(["worda a"], characters)
    (row,) = sequences(targets)
    assert "".join(characters.tokens[index] for index in row) == "worda a"
    assert targets[0, -1] == 0
    assert [len(word) for word in words_of([row], targets)[0]] == [5, 1]


def test_a_word_more_than_the_limit_spells_all():
    few = [f"w{number}" for number in range(MOST_WORDS)]
    assert described(few).unit == "words"
    assert described([*few, "more"]).unit == "characters"


def test_a_sketch_describes_as_all_transcripts_do():
    random = np.random.default_rng(0)
    known = [f"w{number}" for number in range(40)]
    latin = [" ".join(random.choice(known, random.integers(1, 9))) for _ in range(3000)]
    rare = [f"{'да ' * 60}{number}" for number in range(100)]
    for texts in (latin, [*latin, *rare], [*latin, *(f"x{n} y" for n in range(100))]):
        sketch = sorted(LABELS.sketch([f" {text}  " for text in texts]))
        assert described(sketch).target == described(texts).target
    assert described(sorted(LABELS.sketch([*latin, *rare]))).scripts == ("latin",)


def test_a_rare_script_is_not_of_the_vocabulary():
    data = described([*(f"ja nein {n}" for n in range(40)), "да нет"])
    assert data.scripts == ("latin",)
    assert "да" not in data.tokens
    mixed = described([*WORDS, "да", "нет"])
    assert mixed.scripts == ("cyrillic", "latin")


def test_scripts_are_those_of_most_letters():
    texts = ["one", "3 1 4", "", "да α", "きょうは天気"]
    assert scripts_of(texts) == ["latin", "", "", "cyrillic", "han"]


def test_plain_keeps_case_and_marks():
    assert plain("\tOne,\n two! ") == "One, two!"
