"""Transcripts as JSON, as columns and in words."""

import json
from collections import Counter

import numpy as np
import pytest
from tests.src.tasks.transcription.conftest import spelled

from headrace.errors import Refusal
from headrace.tasks.transcription import decoding
from headrace.tasks.transcription.words import ANSWERS, SURVEY

HEARD = ["two one two", "", "one"]


def test_json_has_the_transcript_and_its_confidence(words):
    write, outputs = ANSWERS.json_writer(words), spelled(HEARD, words)
    told = [json.loads(f"{{{write(output)}}}") for output in outputs]
    assert [row["transcript"] for row in told] == HEARD
    sure = [row["confidence"] for row in told]
    assert sure == pytest.approx(decoding.confidences(outputs))
    assert set(told[0]) == {"transcript", "confidence"}


def test_parts_are_joined_to_one_transcript(words):
    outputs = spelled(["one two", "two two", "one"], words)
    outputs[0, :2], outputs[0, 2:] = outputs[0, 2:4].copy(), outputs[0, 1].copy()
    joined = ANSWERS.join(outputs)
    assert joined.dtype == np.float32
    told = json.loads(f"{{{ANSWERS.json_writer(words)(joined)}}}")
    assert told["transcript"] == " ".join(ANSWERS.answers(outputs, words))
    assert (ANSWERS.join(outputs[:1]) == outputs[0]).all()
    alone = ANSWERS.join(outputs[:1], 3)
    assert alone.shape == joined.shape
    assert decoding.confidences(alone[np.newaxis]) == pytest.approx(
        decoding.confidences(outputs[:1])
    )


def test_a_word_at_the_border_of_two_parts_is_two_words(words):
    ends = np.full((2, 3, 3), 0.05, np.float32)
    ends[:, :, 0] = 0.9
    told = json.loads(f"{{{ANSWERS.json_writer(words)(ANSWERS.join(ends))}}}")
    assert told["transcript"] == "one one"


def test_an_answer_that_is_not_finite_is_refused(words):
    outputs = spelled(HEARD, words)
    outputs[0, 1, 1] = np.inf
    with pytest.raises(FloatingPointError):
        ANSWERS.json_writer(words)(outputs[0])


def test_columns_and_answers_are_transcripts(words):
    outputs = spelled(HEARD, words)
    columns = ANSWERS.answer_columns(outputs, words)
    assert columns["transcript"].to_pylist() == HEARD == ANSWERS.answers(outputs, words)
    assert len(columns["confidence"]) == 3


def test_known_are_transcripts_of_the_vocabulary(words, characters):
    assert ANSWERS.is_label("two two", words)
    assert not ANSWERS.is_label("three", words)
    assert ANSWERS.is_label("draw a", characters)


def test_figures_and_highlights_are_rates():
    metrics = {"test_word_error_rate": 0.05, "test_word_error_rate_low": 0.04}
    assert "test word error rate 0.0500 (0.0400 to unknown)" in ANSWERS.figures(metrics)
    slices = {
        "group=ann": {"rows": 10.0, "word_error_rate": 0.01},
        "group=bob": {"rows": 10.0, "word_error_rate": 0.2},
    }
    assert ANSWERS.highlights({}, slices) == ["worst for bob: word error rate 0.2000"]
    assert ANSWERS.highlights({}, {}) == []


def surveyed(train, test):
    counts = Counter({("train", text): 1 for text in train})
    counts.update({("test", text): 1 for text in test})
    return SURVEY.survey("x.csv", counts, len(train) + len(test), [])


def test_a_small_vocabulary_is_listed():
    survey = surveyed(["one two", "two one two"], ["one"])
    assert survey.rows == {"train": 2, "test": 1}
    assert survey.sentences[:2] == [
        "2 different words: 'one', 'two'",
        "2.5 words in a transcript on average, 3 words at most",
    ]
    assert [gate["name"] for gate in survey.gates] == ["word_error", "character_error"]


def test_what_makes_learning_hard_is_a_finding():
    train = [f"Hello, world {number} and more" for number in range(30)]
    survey = surveyed([*train, "hello again", "привет"], ["hello"])
    checks = [finding.check for finding in survey.findings]
    assert checks == ["few_rows", "long_transcripts"]


def test_nothing_to_learn_is_refused():
    with pytest.raises(Refusal, match="has 1 different transcripts in train and 1 in"):
        surveyed(["one"], ["two"])
