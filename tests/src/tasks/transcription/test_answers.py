"""Transcripts as JSON, as columns and in words."""

import json

import numpy as np
import pytest
from tests.src.tasks.transcription.conftest import spelled

from headrace.tasks.transcription import decoding
from headrace.tasks.transcription.answers import PART

HEARD = ["two one two", "", "one"]


def test_json_has_the_transcript_and_its_confidence(words):
    write, outputs = PART.json_writer(words), spelled(HEARD, words)
    told = [json.loads(f"{{{write(output)}}}") for output in outputs]
    assert [row["transcript"] for row in told] == HEARD
    sure = [row["confidence"] for row in told]
    assert sure == pytest.approx(decoding.confidences(outputs))
    assert set(told[0]) == set(PART.json_schema(words))


def test_parts_are_joined_to_one_transcript(words):
    outputs = spelled(["one two", "two two", "one"], words)
    outputs[0, :2], outputs[0, 2:] = outputs[0, 2:4].copy(), outputs[0, 1].copy()
    joined = PART.join(outputs)
    assert joined.dtype == np.float32
    told = json.loads(f"{{{PART.json_writer(words)(joined)}}}")
    assert told["transcript"] == " ".join(PART.answers(outputs, words))
    assert (PART.join(outputs[:1]) == outputs[0]).all()
    alone = PART.join(outputs[:1], 3)
    assert alone.shape == joined.shape
    assert decoding.confidences(alone[np.newaxis]) == pytest.approx(
        decoding.confidences(outputs[:1])
    )


def test_a_word_at_the_border_of_two_parts_is_two_words(words):
    ends = np.full((2, 3, 3), 0.05, np.float32)
    ends[:, :, 0] = 0.9
    told = json.loads(f"{{{PART.json_writer(words)(PART.join(ends))}}}")
    assert told["transcript"] == "one one"


def test_an_answer_that_is_not_finite_is_refused(words):
    outputs = spelled(HEARD, words)
    outputs[0, 1, 1] = np.inf
    with pytest.raises(FloatingPointError):
        PART.json_writer(words)(outputs[0])


def test_columns_and_answers_are_transcripts(words):
    outputs = spelled(HEARD, words)
    columns = PART.answer_columns(outputs, words)
    assert columns["transcript"].to_pylist() == HEARD == PART.answers(outputs, words)
    assert len(columns["confidence"]) == 3


def test_known_are_transcripts_of_the_vocabulary(words, characters):
    assert PART.known("two two", words)
    assert not PART.known("three", words)
    assert PART.known("draw a", characters)


def test_figures_and_highlights_are_rates():
    metrics = {"test_word_error_rate": 0.05, "test_word_error_rate_low": 0.04}
    assert "test word error rate 0.0500 (0.0400 to unknown)" in PART.figures(metrics)
    slices = {
        "group=ann": {"rows": 10.0, "word_error_rate": 0.01},
        "group=bob": {"rows": 10.0, "word_error_rate": 0.2},
    }
    assert PART.highlights({}, slices) == ["worst for bob: word error rate 0.2000"]
    assert PART.highlights({}, {}) == []
