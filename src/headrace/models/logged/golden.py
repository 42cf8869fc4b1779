"""The golden answers of a trained model, which all that serves it must give."""

from __future__ import annotations

import io
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from headrace.errors import IntegrityError
from headrace.media.forms import Payload
from headrace.models.logged.loading import largest_difference
from headrace.records import DataDescription
from headrace.tasks import asked
from headrace.tasks.forms import Outputs

LATENCY_CALLS = 30

Answering = Callable[[Payload], Outputs]


class Measured(NamedTuple):
    """A model's answers beside the golden ones.

    Attributes:
        difference: the largest absolute difference, over all forms of input; infinite
            where an answer is not finite, or of another shape.
        latency_ms: median of warm calls with one item, milliseconds.
    """

    difference: float
    latency_ms: float


class Golden(NamedTuple):
    """Inputs in stored form ``(n, *shape)``, and the trained model's outputs."""

    items: Payload
    outputs: Outputs

    @classmethod
    def read(cls, data: bytes) -> Golden:
        """The content of a golden file; raises IntegrityError."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                return cls(arrays["items"], arrays["outputs"])
        except (ValueError, KeyError, OSError, EOFError) as error:
            raise IntegrityError(
                f"The golden answers cannot be read: {error}",
                "Restore them from a backup, or train again.",
            ) from error

    def difference(self, answering: Answering, data: DataDescription) -> float:
        """The largest difference of an answer, over all forms of input."""
        forms = asked(data).variants(self.items)
        answers = [answering(form) for form in forms]
        if any(given.shape != self.outputs.shape for given in answers):
            return float("inf")
        largest = max(largest_difference(given, self.outputs) for given in answers)
        return largest if np.isfinite(largest) else float("inf")

    def measure(
        self, answering: Answering, data: DataDescription, calls: int = LATENCY_CALLS
    ) -> Measured:
        """Compare all answers, and time so many calls with one item."""
        difference = self.difference(answering, data)
        items = asked(data).raw(self.items)
        seconds = []
        for number in range(calls):
            row = number % len(items)
            started = time.perf_counter()
            answering(items[row : row + 1])
            seconds.append(time.perf_counter() - started)
        return Measured(difference, statistics.median(seconds) * 1000)


def golden_bytes(model: Any, items: Payload, description: DataDescription) -> bytes:
    """An npz of golden inputs, in stored form, and the trained model's outputs.

    Args:
        model: from raw questions to answers.
        items: questions in stored form, ``(n, ...)``.
        description: of the data.
    """
    buffer = io.BytesIO()
    raw = asked(description).raw(items)
    outputs = np.asarray(model(raw, training=False), dtype=np.float32)
    np.savez(buffer, items=items, outputs=outputs)
    return buffer.getvalue()
