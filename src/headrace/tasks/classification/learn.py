"""A dense layer with a softmax, and cross entropy; calibrated confidence.

Label smoothing makes a model underconfident; `headrace.tasks.calibration` corrects it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from headrace.pipeline import TrainingSpec
from headrace.records import DataDescription, Metrics
from headrace.tasks.calibration import LEAST, Calibrated, temperature_of
from headrace.tasks.forms import Lazy, Outputs, Targets
from headrace.tasks.learn import check_probabilities


def best_temperature(probabilities: Outputs, labels: Targets) -> float:
    """The temperature with the lowest log loss."""
    from scipy import special

    logits = np.log(np.maximum(probabilities.astype(np.float64), LEAST))
    rows = np.arange(len(labels))

    def loss(temperature: float) -> float:
        scaled = special.log_softmax(logits / temperature, axis=1)
        return -float(scaled[rows, labels].sum())

    return temperature_of(loss)


class Softmax(Calibrated):
    """See `headrace.tasks.Head`."""

    IS_ROW_BY_ROW = True

    def output_shape(self, data: DataDescription) -> tuple[int, ...]:
        """One probability for each class."""
        return (len(data.classes),)

    def head(
        self, data: DataDescription, targets: Lazy, options: Mapping[str, Any]
    ) -> list[Any]:
        """One dense layer with a softmax."""
        import keras

        width = len(data.classes)
        return [keras.layers.Dense(width, activation="softmax", **options)]

    def check_network(self, network: Any, data: DataDescription, builder: str) -> None:
        """Refuse a network that does not give ``(batch, classes)``."""
        check_probabilities(network, len(data.classes), "classes", builder)

    def losses(
        self, network: Any, targets: Any, outputs: Any, training: TrainingSpec
    ) -> Any:
        """Cross entropy, with smoothed labels where the recipe says so."""
        import keras

        if not training.label_smoothing:
            return keras.losses.sparse_categorical_crossentropy(targets, outputs)
        return keras.losses.categorical_crossentropy(
            keras.ops.one_hot(targets, outputs.shape[-1]),
            outputs,
            label_smoothing=training.label_smoothing,
        )

    def training_scores(self, targets: Any, outputs: Any) -> Any:
        """1 where no class is likelier than the true one."""
        from keras import ops

        # Keras's argmax takes care of -0.0, which makes a step a twentieth slower.
        return ops.cast(ops.in_top_k(targets, outputs, 1), "float32")

    def best_temperature(self, outputs: Outputs, targets: Targets) -> float:
        """See `best_temperature`."""
        return best_temperature(outputs, targets)

    def validation_metrics(
        self, network: Any, outputs: Outputs, targets: Targets
    ) -> Metrics:
        """Log loss and accuracy."""
        true = outputs[np.arange(len(outputs)), targets]
        return {
            "val_loss": float(-np.log(np.maximum(true, 1e-7)).mean()),
            "val_accuracy": float((outputs.argmax(1) == targets).mean()),
        }


HEAD = Softmax()
