"""Word and character error rates, their intervals, captions and pictures."""

import numpy as np
import pytest
from tests.src.tasks.transcription.conftest import encoded, spelled

from headrace.pipeline import EvaluationSpec
from headrace.tasks.transcription import PICTURES
from headrace.tasks.transcription.judge import JUDGE, interval, rate

SAID = ["one two", "one", "two one two", "two"]
HEARD = ["one two", "two", "two two", "two"]


def test_scores_are_edits_and_weights_are_words(words):
    outputs, targets = spelled(HEARD, words), encoded(SAID, words)
    assert JUDGE.judged(outputs, targets, words).scores.tolist() == [0, 1, 1, 0]
    assert JUDGE.judged(outputs, targets, words).weights.tolist() == [2, 1, 3, 1]


def test_edits_are_of_words_where_characters_are_learned(characters):
    outputs = spelled(["wordab a", "wordaa"], characters)
    targets = encoded(["wordaa a", "wordaa a"], characters)
    judged = JUDGE.judged(outputs, targets, characters)
    assert (judged.scores.tolist(), judged.weights.tolist()) == ([1, 1], [2, 2])


def test_metrics_are_sums_of_edits_by_sums_of_words(words):
    outputs, targets = spelled(HEARD, words), encoded(SAID, words)
    judged = JUDGE.judged(outputs, targets, words)
    metrics, slices = judged.metrics(EvaluationSpec())
    assert metrics["test_word_error_rate"] == pytest.approx(2 / 7)
    assert metrics["test_word_error_rate_low"] <= 2 / 7
    assert metrics["test_word_error_rate_high"] >= 2 / 7
    # "one" for "two" is three characters, "two two" lacks "one ".
    assert metrics["test_character_error_rate"] == pytest.approx((3 + 4) / 24)
    assert metrics["test_right_transcripts"] == 0.5
    assert metrics["non_finite_values"] == 0
    assert slices["words=1"] == {"rows": 2, "word_error_rate": 0.5}
    assert sum(part["rows"] for part in slices.values()) == 4
    summary = JUDGE.summary(judged.scores, 0.95, judged.weights)
    assert summary["word_error_rate"] == pytest.approx(2 / 7)


def test_no_finite_answer_is_counted(words):
    outputs = spelled(HEARD, words)
    outputs[0] = np.nan
    judged = JUDGE.judged(outputs, encoded(SAID, words), words)
    metrics, _ = judged.metrics(EvaluationSpec())
    assert metrics["non_finite_values"] == outputs[0].size


def test_an_answer_that_is_not_finite_has_no_score_and_is_shown(words):
    """Without that, a row of NaN would be heard as the first word."""
    said = ["one", "two"]
    outputs, targets = spelled(said, words), encoded(said, words)
    outputs[0] = np.nan
    assert JUDGE.judged(outputs, targets, words).scores.tolist() == pytest.approx(
        [np.nan, 0], nan_ok=True
    )
    assert not JUDGE.judged(outputs, targets, words).badness[0] <= 0
    metrics, _ = JUDGE.judged(outputs, targets, words).metrics(EvaluationSpec())
    assert np.isnan(metrics["test_word_error_rate"])
    assert np.isnan(metrics["test_character_error_rate"])


@pytest.mark.system
def test_the_bootstrap_covers_the_true_rate():
    """At 90 %, of rows of 1 to 7 words that are wrong one time in ten."""
    random, covered = np.random.default_rng(0), 0
    for _ in range(100):
        words = random.integers(1, 8, 150).astype(float)
        edits = random.binomial(words.astype(int), 0.1).astype(float)
        low, high = interval(edits, words, 0.9)
        covered += low <= 0.1 <= high
    assert 80 <= covered <= 98


@pytest.mark.system
def test_the_deviation_is_that_of_the_rate():
    random = np.random.default_rng(0)
    rates, deviations = [], []
    for _ in range(300):
        words = random.integers(1, 8, 100).astype(float)
        edits = random.binomial(words.astype(int), 0.2).astype(float)
        rates.append(rate(edits, words))
        summary = JUDGE.summary(edits, 0.9, words)
        deviations.append(summary["word_error_rate_deviation"] / 10)
    assert np.mean(deviations) == pytest.approx(np.std(rates), rel=0.15)


def test_worse_answers_have_more_edits_and_then_more_confidence(words):
    outputs = np.concatenate(
        [
            spelled(["one two", "two", "one"], words),
            spelled(["two"], words, 0.6),
        ]
    )
    said = encoded(["two", "one", "one", "one"], words)
    badness = JUDGE.judged(outputs, said, words).badness
    assert badness[0] > 1
    assert 1 < badness[3] < badness[1] < 1.5
    assert badness[2] == 0


def test_a_caption_marks_each_edit(words):
    (output,) = spelled(["one one two"], words)
    (target,) = encoded(["two one"], words)
    caption = JUDGE.caption(output, target, words)
    assert caption.startswith("said: two one\nheard: one one two (")
    assert caption.endswith("; [two>one] one [+two]")
    (silent,) = spelled([""], words)
    assert "heard: nothing" in JUDGE.caption(silent, target, words)


def test_monitored_numbers_are_few(words):
    numbers = JUDGE.monitored(spelled(HEARD, words), words)
    assert numbers["words"].tolist() == [2, 1, 2, 1]
    assert numbers["blank share"].tolist() == [7 / 9, 8 / 9, 7 / 9, 8 / 9]
    assert set(numbers) == {"words", "confidence", "blank share"}


@pytest.mark.parametrize("heard", [HEARD, SAID])
def test_each_picture_is_drawn(words, tmp_path, heard):
    outputs, targets = spelled(heard, words), encoded(SAID, words)
    JUDGE.judged(outputs, targets, words).draw(EvaluationSpec(), tmp_path)
    drawn = {path.stem: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(drawn) == set(PICTURES)
    assert all(data.startswith(b"\x89PNG") for data in drawn.values())


def test_what_is_right_follows_from_the_scores_without_counting_edits_again(
    words, monkeypatch
):
    judged = JUDGE.judged(spelled(HEARD, words), encoded(SAID, words), words)
    assert judged.scores.tolist() == [0, 1, 1, 0]
    monkeypatch.setattr("headrace.tasks.transcription.decoding.edit_counts", None)
    assert judged.certainty.right.tolist() == [True, False, False, True]
    assert judged.certainty.promised.shape == (4,)
