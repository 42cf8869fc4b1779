"""Scores and metrics of transcripts: edits for each word that was said.

The score of a row is the number of edits from the transcript to its answer, in words;
its weight is the number of words. A rate is the sum of the edits divided by that of the
words, so that it may be above 1. Intervals are of the bootstrap over rows (B. Efron,
Bootstrap methods: another look at the jackknife, Annals of Statistics 7, 1979; for word
error rates M. Bisani and H. Ney, ICASSP 2004).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headrace.records import DataDescription, Metrics
from headrace.spec import EvaluationSpec
from headrace.tasks import Judge
from headrace.tasks.forms import Outputs, Scores, Targets
from headrace.tasks.intervals import bootstrap_of_ratio
from headrace.tasks.judge import Certainty
from headrace.tasks.judging import is_answered, ranges_of
from headrace.tasks.transcription import decoding, pictures
from headrace.tasks.transcription.data import sequences, words_of

_RANGES = 4  # of the number of words, with equal numbers of rows


def rate(edits: Scores, weights: Scores) -> float:
    """The sum of the edits for each word; NaN where nothing was said."""
    total = float(weights.sum())
    return float(edits.sum()) / total if total else math.nan


def interval(edits: Scores, weights: Scores, confidence: float) -> tuple[float, float]:
    """The interval of a rate, by the bootstrap over rows."""
    return bootstrap_of_ratio(edits, weights, confidence, by_counts=True)


def _edits(true: Sequence[Any], answers: Sequence[Any], outputs: Outputs) -> Scores:
    """The edits of each answer, float64 ``(n,)``; NaN where it is not finite."""
    edits = decoding.edit_counts(true, answers).astype(np.float64)
    return np.where(is_answered(outputs), edits, np.nan)


class EditsPerWord(Judge):
    THINGS = "recordings"

    def scores(self, outputs: Outputs, targets: Targets) -> Scores:
        """The edits of each row, in words, float64 ``(n,)``; NaN for a NaN answer."""
        answers = words_of(decoding.greedy(outputs), targets)
        true = words_of(sequences(targets), targets)
        return _edits(true, answers, outputs)

    def weights(self, outputs: Outputs, targets: Targets) -> Scores:
        """The words of each transcript, float64 ``(n,)``."""
        true = words_of(sequences(targets), targets)
        return np.array([len(words) for words in true], np.float64)

    def metrics(
        self,
        outputs: Outputs,
        targets: Targets,
        data: DataDescription,
        evaluation: EvaluationSpec,
    ) -> tuple[Metrics, dict[str, Metrics]]:
        """Error rates with intervals, and those of short and of long transcripts.

        ``test_right_transcripts`` is the share of rows without an edit;
        ``test_confidence_error`` is how far the mean confidence is off that share.
        """
        edits, words = self.scores(outputs, targets), self.weights(outputs, targets)
        true, answers = (
            decoding.references(targets, data),
            decoding.texts(outputs, data),
        )
        characters = np.array([len(text) for text in true], np.float64)
        by_character = _edits(true, answers, outputs)
        sure = evaluation.confidence
        low, high = interval(edits, words, sure)
        low_character, high_character = interval(by_character, characters, sure)
        right = float((edits == 0).mean())
        confidence = float(decoding.confidences(outputs).mean())
        return {
            "test_word_error_rate": rate(edits, words),
            "test_word_error_rate_low": low,
            "test_word_error_rate_high": high,
            "test_character_error_rate": rate(by_character, characters),
            "test_character_error_rate_low": low_character,
            "test_character_error_rate_high": high_character,
            "test_right_transcripts": right,
            "test_confidence_error": abs(confidence - right),
            "test_words": float(words.sum()),
            "non_finite_values": float((~np.isfinite(outputs)).sum()),
        }, _by_length(edits, words)

    def summary(
        self, scores: Scores, confidence: float, weights: Scores | None = None
    ) -> Metrics:
        """The word error rate with its interval, and the deviation of a row.

        The deviation is that of the linearised ratio, whose mean over rows has the
        standard error of the rate.
        """
        words = np.ones(len(scores)) if weights is None else weights
        value = rate(scores, words)
        low, high = interval(scores, words, confidence)
        mean = float(words.mean()) or 1.0
        return {
            "word_error_rate": value,
            "word_error_rate_low": low,
            "word_error_rate_high": high,
            "word_error_rate_deviation": float((scores - value * words).std()) / mean,
        }

    def certainty(self, outputs: Outputs, scores: Scores) -> Certainty:
        """The probability of the whole transcript."""
        right = np.asarray(scores == 0, bool)
        return Certainty(decoding.confidences(outputs), right)

    def badness(self, outputs: Outputs, targets: Targets) -> Any:
        """The edits; of equally many, those of a confident answer are worse."""
        edits = self.scores(outputs, targets)
        return np.where(edits == 0, 0.0, edits + 0.5 * decoding.confidences(outputs))

    def caption(self, output: Any, target: Any, data: DataDescription) -> str:
        """What was said and what was heard, with each edit in brackets."""
        true, answer, sure = pictures.one_row(output, target, data)
        edits = decoding.align(true.split(), answer.split())
        marked = " ".join(map(_marked, edits))
        return f"said: {true}\nheard: {answer or 'nothing'} ({sure:.0%}); {marked}"

    def monitored(self, outputs: Outputs, data: DataDescription) -> dict[str, Any]:
        """Words, confidence, and the share of steps that are blank."""
        blank = outputs.argmax(axis=2) == outputs.shape[2] - 1
        words = [len(text.split()) for text in decoding.texts(outputs, data)]
        return {
            "words": np.array(words, np.float64),
            "confidence": decoding.confidences(outputs),
            "blank share": blank.mean(axis=1).astype(np.float64),
        }

    def draw(
        self,
        outputs: Outputs,
        targets: Targets,
        data: DataDescription,
        evaluation: EvaluationSpec,
        folder: Path,
    ) -> None:
        """The worst alignments, and the words with the most edits."""
        badness = self.badness(outputs, targets)
        worst = np.argsort(-badness, kind="stable")[: pictures.SHOWN]
        rows = [pictures.one_row(outputs[n], targets[n], data) for n in worst.tolist()]
        pictures.draw_alignments(rows, folder / "alignments.png")
        true, answers = (
            decoding.references(targets, data),
            decoding.texts(outputs, data),
        )
        pictures.draw_edits(true, answers, folder / "edits.png")


def _marked(edit: decoding.Edit) -> str:
    if edit.true == edit.answer:
        return str(edit.true)
    if edit.answer is None:
        return f"[-{edit.true}]"
    return f"[+{edit.answer}]" if edit.true is None else f"[{edit.true}>{edit.answer}]"


def _by_length(edits: Scores, words: Scores) -> dict[str, Metrics]:
    """The error rate by the number of words."""
    slices: dict[str, Metrics] = {}
    for rows in ranges_of(words, _RANGES):
        first, last = int(words[rows[0]]), int(words[rows[-1]])
        name = f"{first}" if first == last else f"{first} to {last}"
        slices[f"words={name}"] = {
            "rows": float(len(rows)),
            "word_error_rate": rate(edits[rows], words[rows]),
        }
    return slices


JUDGE = EditsPerWord()
