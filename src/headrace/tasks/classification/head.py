"""A dense layer with a softmax, and cross entropy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from headrace.errors import SpecError
from headrace.records import DataDescription, Metrics
from headrace.spec import TrainingSpec
from headrace.tasks import Head
from headrace.tasks.classification import calibration
from headrace.tasks.forms import OR_A_BODY, Outputs, Targets


class Softmax:
    """See `headrace.tasks.Head`."""

    def width(self, data: DataDescription) -> int:
        """One probability for each class."""
        return len(data.classes)

    def head(
        self,
        data: DataDescription,
        targets: Callable[[], Targets],
        options: Mapping[str, Any],
    ) -> list[Any]:
        """One dense layer with a softmax."""
        import keras

        dense = keras.layers.Dense
        return [dense(len(data.classes), activation="softmax", **options)]

    def check_network(self, network: Any, data: DataDescription, builder: str) -> None:
        """Refuse a network that does not give ``(batch, classes)``."""
        shape, classes = tuple(network.outputs[0].shape), len(data.classes)
        if shape != (None, classes):
            raise SpecError(
                f"The builder {builder} gives outputs of shape {shape}, but the data "
                f"has {classes} classes.",
                f"End the network with {classes} probabilities, {OR_A_BODY}",
            )

    def check_training(self, network: Any, training: TrainingSpec) -> None:
        """Refuse to calibrate a network that does not end in a softmax layer."""
        if training.calibrate:
            calibration.last_layer(network)

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
        """1 where the likeliest class is the true one."""
        from keras import ops

        predicted = ops.cast(ops.argmax(outputs, axis=1), "int32")
        return ops.cast(ops.equal(predicted, targets), "float32")

    def finish(
        self,
        network: Any,
        outputs: Callable[[], Outputs],
        targets: Targets,
        training: TrainingSpec,
    ) -> Metrics:
        """Temperature scaling."""
        if not (training.calibrate and len(targets)):
            return {"temperature": 1.0}
        return {"temperature": calibration.calibrate(network, outputs(), targets)}

    def validation_metrics(
        self, network: Any, outputs: Outputs, targets: Targets
    ) -> Metrics:
        """Log loss and accuracy."""
        true = outputs[np.arange(len(outputs)), targets]
        return {
            "val_loss": float(-np.log(np.maximum(true, 1e-7)).mean()),
            "val_accuracy": float((outputs.argmax(1) == targets).mean()),
        }


PART: Head = Softmax()
