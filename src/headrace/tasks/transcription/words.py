"""What people read of a transcription, and of transcripts in new data."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from headrace.display.signs import as_score
from headrace.errors import Refusal
from headrace.pipeline import DataSpec
from headrace.records import DataDescription, Finding, Metrics
from headrace.tasks import Answers, Surveyor
from headrace.tasks.forms import FLOAT32, Counts, Figures, Outputs, figure, some
from headrace.tasks.transcription import decoding
from headrace.tasks.transcription.data import LABELS, plain, tokens_of
from headrace.tasks.words import Survey, ranked

_SHOWN = 20
# The first bound asks for more than the commonest word alone would give.
WORD_ERROR, CHARACTER_ERROR = 0.5, 0.4
ENOUGH_ROWS = 1000  # of train; with fewer, a network hardly learns to align
SHORT = 2  # words; such transcripts are easy to align
SHORT_SHARE = 0.1
_NAMED = 12


class TranscriptWithConfidence(Answers):
    """See `headrace.tasks.Answers`.

    The confidence of a transcript is its probability, the sum over all of its paths.
    """

    OUTPUT = "probabilities"
    METRICS: ClassVar = {
        "test_word_error_rate": "Edits (words replaced, left out or added) for each "
        "word that was said; its interval is by the bootstrap over recordings.",
        "test_character_error_rate": "Edits of characters for each character that was "
        "said; its interval is by the bootstrap over recordings.",
        "test_right_transcripts": "The share of recordings without an edit.",
        "test_confidence_error": "How far the mean confidence is off the share of "
        "right transcripts.",
        "test_words": "The number of words that were said.",
    }

    def answers(self, outputs: Outputs, data: DataDescription) -> list[Any]:
        """The transcript of each item."""
        return decoding.texts(outputs, data)

    def join(self, outputs: Outputs, count: int = 1) -> Any:
        """The steps of all parts, one after the other, ``(steps, vocabulary + 1)``.

        A step that is surely blank parts them, so that a word at the end of one part
        and at the beginning of the next is two words. Such steps fill up an answer,
        too.
        """
        parts, steps, width = outputs.shape
        joined = np.zeros((max(parts, count), steps + 1, width), outputs.dtype)
        joined[:, :, -1] = 1.0
        joined[:parts, :steps] = outputs
        return joined.reshape(-1, width)[:-1]

    def json_writer(self, data: DataDescription) -> Callable[[Any], str]:
        """The transcript, and its confidence."""

        def write(output: Any) -> str:
            outputs = np.asarray(output)[np.newaxis]
            if not math.isfinite(float(outputs.sum())):
                raise FloatingPointError
            text = json.dumps(decoding.texts(outputs, data)[0], ensure_ascii=False)
            sure = float(decoding.confidences(outputs)[0])
            return f'"transcript":{text},"confidence":{FLOAT32 % sure}'

        return write

    def answer_columns(
        self, outputs: Outputs, data: DataDescription
    ) -> dict[str, pa.Array]:
        """The transcript, and its confidence."""
        return {
            "transcript": pa.array(decoding.texts(outputs, data), pa.string()),
            "confidence": pa.array(decoding.confidences(outputs).astype(np.float32)),
        }

    def is_label(self, label: str, data: DataDescription) -> bool:
        """Whether all of its words or characters are in the vocabulary."""
        return {*tokens_of(label, data.unit)} <= {*data.tokens}

    def figures(self, metrics: Figures) -> str:
        """Word and character error rates with their intervals."""

        def value(name: str) -> str:
            return figure(metrics, f"test_{name}")

        return ", ".join(
            f"{text} {value(name)} ({value(f'{name}_low')} to {value(f'{name}_high')})"
            for text, name in (
                ("test word error rate", "word_error_rate"),
                ("character error rate", "character_error_rate"),
            )
        )

    def about(self, data: DataDescription) -> str:
        return f"{data.unit} {some(data.tokens, _SHOWN)}"

    def highlights(self, metrics: Metrics, slices: Mapping[str, Figures]) -> list[str]:
        """The group with the most errors."""
        groups = ranked(slices, "group", "word_error_rate", falling=True)
        return [
            f"worst for {name}: word error rate {as_score(worst['word_error_rate'])}"
            for name, worst in groups[:1]
            if len(groups) > 1
        ]


class TranscriptSurvey(Surveyor):
    SUMMARY = "Writes down what is said."
    LIMITS = "It answers with its vocabulary whatever it hears."

    def survey(
        self, source: str, labels: Counts, items: int, rejected: Sequence[str]
    ) -> Survey:
        """The vocabulary, the lengths of the transcripts, and gates to begin with."""
        train, test = (_of_split(labels, split) for split in ("train", "test"))
        if len(train) < 2 or not test:
            raise Refusal(
                f"{source} has {len(train):,} different transcripts in train and "
                f"{len(test):,} in test.",
                "Give at least two different transcripts; name their column with "
                "--label.",
            )
        facts = LABELS.describe([*train, *test], DataSpec(source=source))
        rows = {"train": train.total(), "test": test.total()}
        words = sum(len(text.split()) * n for text, n in train.items())
        unit = facts["unit"]
        vocabulary = f"{len(facts['tokens']):,} different {unit}"
        shown = some([repr(token) for token in facts["tokens"]], _NAMED)
        bounds = {"word_error": WORD_ERROR, "character_error": CHARACTER_ERROR}
        return Survey(
            rows=rows,
            fields={},
            gates=[{"name": name, "threshold": at} for name, at in bounds.items()],
            sentences=[
                f"{vocabulary}: {shown}",
                f"{words / rows['train']:.1f} words in a transcript on average, "
                f"{facts['longest']} {unit} at most",
                f"the gate asks for a word error rate below {WORD_ERROR:g}: lower it "
                "after the first run",
            ],
            findings=list(_findings(train)),
        )


def _of_split(labels: Counts, split: str) -> Counter[str]:
    rows: Counter[str] = Counter()
    for (of, label), count in labels.items():
        if of == split and plain(label):
            rows[plain(label)] += count
    return rows


def _findings(train: Counter[str]) -> Iterator[Finding]:
    rows = train.total()
    if rows < ENOUGH_ROWS:
        text = f"{rows:,} recordings are few to learn to align, which takes about "
        text += f"{ENOUGH_ROWS:,}"
        yield Finding(check="few_rows", split="train", count=rows, message=text)
    short = sum(n for text, n in train.items() if len(text.split()) <= SHORT)
    if short < SHORT_SHARE * rows:
        text = f"only {short:,} transcripts of train have one or two words: without "
        text += "short ones a model learns to align slowly; cut some at pauses"
        yield Finding(
            check="long_transcripts", split="train", count=rows - short, message=text
        )


ANSWERS = TranscriptWithConfidence()
SURVEY = TranscriptSurvey()
