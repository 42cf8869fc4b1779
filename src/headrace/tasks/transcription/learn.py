"""A dense layer with a softmax for each step, and the CTC loss; calibrated confidence.

The loss of a row is the negative logarithm of the probability of its transcript (see
`headrace.tasks.transcription.decoding`).

Greedy decoding gives the same transcripts after calibration, as the likeliest path
stays the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from headrace.errors import SpecError
from headrace.imports.backend import ctc_losses
from headrace.pipeline import TrainingSpec
from headrace.records import DataDescription, Metrics
from headrace.tasks.calibration import Calibrated, temperature_of
from headrace.tasks.forms import Lazy, Outputs, Targets
from headrace.tasks.transcription import decoding
from headrace.tasks.transcription.data import PADDING, sequences, words_of

_LEAST = 1e-30  # so that a logarithm is finite
_WORST = 1e4  # the loss of a transcript that has no path


class StepSoftmax(Calibrated):
    """See `headrace.tasks.Head`."""

    def output_shape(self, data: DataDescription) -> tuple[int, ...]:
        """Steps, and a probability for each word or character and for the blank."""
        return -1, len(data.tokens) + 1

    def head(
        self, data: DataDescription, targets: Lazy, options: Mapping[str, Any]
    ) -> list[Any]:
        """One dense layer with a softmax, for each step."""
        import keras

        width = len(data.tokens) + 1
        return [keras.layers.Dense(width, activation="softmax", **options)]

    def check_network(self, network: Any, data: DataDescription, builder: str) -> None:
        """Refuse a network that does not give ``(batch, steps, vocabulary + 1)``."""
        shape, width = tuple(network.outputs[0].shape), len(data.tokens) + 1
        if len(shape) != 3 or shape[2] != width:
            raise SpecError(
                f"The builder {builder} gives outputs of shape {shape}, and a "
                f"transcription needs {width} probabilities for each step: for "
                f"{width - 1} {data.unit}, and for the blank.",
                f"End the network with (steps, {width}), or set YIELDS = "
                '"sequence" in its module, if the task is to add the head.',
            )
        if shape[1] is not None and shape[1] < data.longest:
            raise SpecError(
                f"The builder {builder} gives {shape[1]} steps, and the longest "
                f"transcript has {data.longest} {data.unit}.",
                "Give more steps, or leave out the longest transcripts.",
            )

    def losses(
        self, network: Any, targets: Any, outputs: Any, training: TrainingSpec
    ) -> Any:
        """The CTC loss of each row, in nats of the whole transcript."""
        import keras

        targets = targets[:, :-1]
        logits = keras.ops.log(keras.ops.cast(outputs, "float32") + _LEAST)
        return ctc_losses(targets, logits, PADDING)

    def training_scores(self, targets: Any, outputs: Any) -> Any:
        """A lower bound of the error rate: how far the number of words is off.

        It is the share by which the lengths of the transcript and of its answer differ,
        in words or characters, since a graph has no alignment.
        """
        from keras import ops

        best, blank = ops.argmax(outputs, axis=2), outputs.shape[2] - 1
        is_new = ops.not_equal(best[:, 1:], best[:, :-1])
        begins = ops.logical_and(is_new, ops.not_equal(best[:, 1:], blank))
        first = ops.cast(ops.not_equal(best[:, 0], blank), "float32")
        count = ops.sum(ops.cast(begins, "float32"), axis=1) + first
        true = ops.sum(
            ops.cast(ops.not_equal(targets[:, :-1], PADDING), "float32"), axis=1
        )
        return ops.abs(count - true) / ops.maximum(true, 1.0)

    def best_temperature(self, outputs: Outputs, targets: Targets) -> float:
        """See `best_temperature`."""
        return best_temperature(outputs, targets)

    def validation_metrics(
        self, network: Any, outputs: Outputs, targets: Targets
    ) -> Metrics:
        """The mean CTC loss, and the word error rate."""
        likelihood = decoding.log_likelihood(outputs, targets[:, :-1])
        true = words_of(sequences(targets), targets)
        answers = words_of(decoding.greedy(outputs), targets)
        edits = decoding.edit_counts(true, answers)
        return {
            "val_loss": -float(np.maximum(likelihood, -_WORST).mean()),
            "val_word_error_rate": float(edits.sum() / max(1, sum(map(len, true)))),
        }


def best_temperature(outputs: Outputs, targets: Targets) -> float:
    """The temperature with the lowest CTC loss."""
    from scipy import special

    logits = np.log(np.maximum(outputs.astype(np.float64), _LEAST))

    def loss(temperature: float) -> float:
        scaled = special.softmax(logits / temperature, axis=2)
        likelihood = decoding.log_likelihood(scaled, targets[:, :-1])
        return -float(np.maximum(likelihood, -_WORST).sum())

    return temperature_of(loss, xatol=0.02)


HEAD = StepSoftmax()
