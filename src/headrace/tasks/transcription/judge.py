"""Scores and metrics of transcripts: edits for each word that was said.

The score of a row is the number of edits from the transcript to its answer, in words;
its weight is the number of words. A rate is the sum of the edits divided by that of the
words, so that it may be above 1. Intervals are of the bootstrap over rows (B. Efron,
Bootstrap methods: another look at the jackknife, Annals of Statistics 7, 1979; for word
error rates M. Bisani and H. Ney, ICASSP 2004).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.display.pictures import ACCENT, new_figure, save
from headrace.pipeline import EvaluationSpec
from headrace.records import DataDescription, Metrics
from headrace.tasks import Judge, Judged
from headrace.tasks.forms import Outputs, Scores
from headrace.tasks.judge import Certainty
from headrace.tasks.judging import bootstrap_of_ratio, ranges_of, with_ends
from headrace.tasks.transcription import decoding
from headrace.tasks.transcription.data import sequences, words_of

_WORDS_SHOWN = 20
_ADDED, _DROPPED = "#e08e1b", "#8a929c"
_RANGES = 4  # of the number of words, with equal numbers of rows


def draw_edits(true: Sequence[str], answers: Sequence[str], path: Path) -> None:
    """Draw how often words are replaced, left out and added.

    Args:
        true: the transcripts, ``(n,)``.
        answers: of the model, ``(n,)``.
        path: of the PNG.
    """
    counts: dict[str, Counter[str]] = {"replaced": Counter()}
    counts |= {"left out": Counter(), "added": Counter()}
    pairs: Counter[str] = Counter()
    for said, heard in zip(true, answers, strict=True):
        for edit in decoding.align(said.split(), heard.split()):
            if edit.true == edit.answer:
                continue
            if edit.true is None:
                counts["added"][str(edit.answer)] += 1
            elif edit.answer is None:
                counts["left out"][edit.true] += 1
            else:
                counts["replaced"][edit.true] += 1
                pairs[f"{edit.true} > {edit.answer}"] += 1
    total = sum(counts.values(), Counter[str]())
    words = [word for word, _ in total.most_common(_WORDS_SHOWN)]
    figure = new_figure(10, 4)
    left, right = figure.subplots(1, 2, width_ratios=[2, 1])
    base = np.zeros(len(words))
    colours = {"replaced": ACCENT, "left out": _DROPPED, "added": _ADDED}
    for kind, colour in colours.items():
        heights = np.array([counts[kind][word] for word in words], float)
        left.bar(words, heights, 0.8, base, color=colour, label=kind)
        base += heights
    left.set(title=f"{total.total():,} edits, test split", ylabel="edits")
    left.legend()
    left.tick_params(
        axis="x", rotation=90 if max(map(len, words), default=0) > 3 else 0
    )
    commonest = pairs.most_common(10)[::-1]
    right.barh([name for name, _ in commonest], [n for _, n in commonest], color=ACCENT)
    right.set(title="replaced most", xlabel="times")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
    save(figure, path)


def rate(edits: Scores, weights: Scores) -> float:
    """The sum of the edits for each word; NaN where nothing was said."""
    total = float(weights.sum())
    return float(edits.sum()) / total if total else math.nan


def interval(edits: Scores, weights: Scores, confidence: float) -> tuple[float, float]:
    """The interval of a rate, by the bootstrap over rows."""
    return bootstrap_of_ratio(edits, weights, confidence, by_counts=True)


@dataclass(frozen=True)
class JudgedTranscripts(Judged):
    """Answers ``(n, steps, tokens + 1)`` with the transcripts of their rows."""

    @cached_property
    def true(self) -> list[str]:
        """The transcripts."""
        return decoding.references(self.targets, self.data)

    @cached_property
    def answers(self) -> list[str]:
        """What was heard."""
        return decoding.texts(self.outputs, self.data)

    @cached_property
    def confidence(self) -> npt.NDArray[np.float64]:
        """The probability of each whole transcript, ``(n,)``."""
        return decoding.confidences(self.outputs)

    def _edits(self, true: Sequence[Any], answers: Sequence[Any]) -> Scores:
        edits = decoding.edit_counts(true, answers).astype(np.float64)
        return np.where(self.is_answered, edits, np.nan)

    @cached_property
    def _words(self) -> list[Any]:
        return words_of(sequences(self.targets), self.targets)

    @cached_property
    def scores(self) -> Scores:
        """The edits of each row, in words, float64 ``(n,)``; NaN for a NaN answer."""
        answers = words_of(decoding.greedy(self.outputs), self.targets)
        return self._edits(self._words, answers)

    @cached_property
    def weights(self) -> Scores:
        """The words of each transcript, float64 ``(n,)``."""
        return np.array([len(words) for words in self._words], np.float64)

    @property
    def certainty(self) -> Certainty:
        """The probability of the whole transcript."""
        return Certainty(self.confidence, np.asarray(self.scores == 0, bool))

    @property
    def badness(self) -> Any:
        """The edits; of equally many, those of a confident answer are worse."""
        edits = self.scores
        return np.where(edits == 0, 0.0, edits + 0.5 * self.confidence)

    def metrics(self, evaluation: EvaluationSpec) -> tuple[Metrics, dict[str, Metrics]]:
        """Error rates with intervals, and those of short and of long transcripts.

        ``test_right_transcripts`` is the share of rows without an edit;
        ``test_confidence_error`` is how far the mean confidence is off that share.
        """
        edits, words, sure = self.scores, self.weights, evaluation.confidence
        characters = np.array([len(text) for text in self.true], np.float64)
        by_character = self._edits(self.true, self.answers)
        ends = interval(edits, words, sure)
        of_characters = interval(by_character, characters, sure)
        right = float((edits == 0).mean())
        return {
            **with_ends("test_word_error_rate", rate(edits, words), ends),
            **with_ends(
                "test_character_error_rate",
                rate(by_character, characters),
                of_characters,
            ),
            "test_right_transcripts": right,
            "test_confidence_error": abs(float(self.confidence.mean()) - right),
            "test_words": float(words.sum()),
            "non_finite_values": float((~np.isfinite(self.outputs)).sum()),
        }, _by_length(edits, words)

    def draw(self, evaluation: EvaluationSpec, folder: Path) -> None:
        """The words with the most edits."""
        draw_edits(self.true, self.answers, folder / "edits.png")


class EditsPerWord(Judge):
    JUDGED = JudgedTranscripts
    THINGS = "recordings"

    def summary(
        self, scores: Scores, confidence: float, weights: Scores | None = None
    ) -> Metrics:
        """The word error rate with its interval, and the deviation of a row.

        The deviation is that of the linearised ratio, whose mean over rows has the
        standard error of the rate.
        """
        words = np.ones(len(scores)) if weights is None else weights
        value = rate(scores, words)
        ends = interval(scores, words, confidence)
        mean = float(words.mean()) or 1.0
        return {
            **with_ends("word_error_rate", value, ends),
            "word_error_rate_deviation": float((scores - value * words).std()) / mean,
        }

    def caption(self, output: Any, target: Any, data: DataDescription) -> str:
        """What was said and what was heard, with each edit in brackets."""
        outputs = np.asarray(output)[np.newaxis]
        true = decoding.references(target[np.newaxis], data)[0]
        answer = decoding.texts(outputs, data)[0]
        sure = float(decoding.confidences(outputs)[0])
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
