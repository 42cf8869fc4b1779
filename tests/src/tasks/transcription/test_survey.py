"""What `headrace new` finds out from transcripts."""

from collections import Counter

import pytest

from headrace.errors import Refusal
from headrace.tasks.transcription.survey import PART


def surveyed(train, test):
    counts = Counter({("train", text): 1 for text in train})
    counts.update({("test", text): 1 for text in test})
    return PART.survey("x.csv", counts, len(train) + len(test), [])


def test_a_small_vocabulary_is_listed():
    survey = surveyed(["one two", "two one two"], ["one"])
    assert survey.rows == {"train": 2, "test": 1}
    assert survey.facts["vocabulary"] == {"unit": "words", "size": 2}
    assert survey.head == [
        "# 2 recordings to learn from and 1 to test on, with 2 different words.",
        "# 2.5 words in a transcript on average, 3 words at most.",
    ]
    assert [gate["name"] for gate in survey.gates] == ["word_error", "character_error"]


def test_what_makes_learning_hard_is_a_finding():
    train = [f"Hello, world {number} and more" for number in range(30)]
    survey = surveyed([*train, "hello again", "привет"], ["hello"])
    checks = [finding.check for finding in survey.findings]
    assert checks == [
        "few_rows",
        "long_transcripts",
        "foreign_script",
        "punctuation",
    ]
    survey = surveyed(["Hello world", "hello world"], ["hello"])
    assert [f.check for f in survey.findings] == ["few_rows", "label_case"]


def test_nothing_to_learn_is_refused():
    with pytest.raises(Refusal, match="has 1 different transcripts in train and 1 in"):
        surveyed(["one"], ["two"])
