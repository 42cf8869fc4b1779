"""Answers and metrics of a transcription as people read them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.records import DataDescription, Metrics
from headrace.tasks import Answers
from headrace.tasks.forms import FLOAT32, Figures, Outputs, figure, some
from headrace.tasks.transcription import decoding
from headrace.tasks.transcription.labels import tokens_of

_SHOWN = 20


class TranscriptWithConfidence(Answers):
    """See `headrace.tasks.Answers`.

    The confidence of a transcript is its probability, the sum over all of its paths.
    """

    OUTPUT = "probabilities"

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

    def json_schema(self, data: DataDescription) -> dict[str, Any]:
        """A text and a number."""
        return {
            "transcript": {"type": "string"},
            "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        }

    def answer_columns(
        self, outputs: Outputs, data: DataDescription
    ) -> dict[str, pa.Array]:
        """The transcript, and its confidence."""
        return {
            "transcript": pa.array(decoding.texts(outputs, data), pa.string()),
            "confidence": pa.array(decoding.confidences(outputs).astype(np.float32)),
        }

    def known(self, label: str, data: DataDescription) -> bool:
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
        groups = {n: s for n, s in slices.items() if n.startswith("group=")}
        if len(groups) < 2:
            return []
        worst = max(groups, key=lambda name: groups[name]["word_error_rate"] or 0)
        return [
            f"worst for {worst.removeprefix('group=')}: word error rate "
            f"{groups[worst]['word_error_rate']:.4f}"
        ]


PART = TranscriptWithConfidence()
