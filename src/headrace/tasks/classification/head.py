"""A dense layer with a softmax, and cross entropy; calibrated confidence.

Temperature scaling calibrates after training: all logits are divided by one number, the
temperature, which is chosen on validation rows (Guo, Pleiss, Sun and Weinberger, "On
Calibration of Modern Neural Networks", 2017). The likeliest class stays the same. Label
smoothing makes a model underconfident; this corrects it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from headrace.errors import SpecError
from headrace.records import DataDescription, Metrics
from headrace.spec import TrainingSpec
from headrace.tasks import Head
from headrace.tasks.forms import OR_A_BODY, Lazy, Outputs, Targets

MOST = 8.0  # a temperature is between one eighth and this


def last_layer(network: Any) -> Any:
    """The network's last layer, a dense one with a softmax.

    Raises:
        SpecError: it is another kind of layer.
    """
    import keras

    layer = network.layers[-1]
    dense = isinstance(layer, keras.layers.Dense)
    if not dense or layer.activation is not keras.activations.softmax:
        raise SpecError(
            "training.calibrate = true: the network ends in a layer "
            f"{type(layer).__name__} ({layer.name}).",
            "End it in one Dense layer with activation='softmax', or leave calibrate "
            "out.",
        )
    return layer


def best_temperature(probabilities: Outputs, labels: Targets) -> float:
    """The temperature with the lowest log loss.

    A prior with the weight of one row draws it towards 1. Without it, a few rows that
    are all predicted correctly would give unlimited confidence.
    """
    from scipy import optimize, special

    logits = np.log(np.maximum(probabilities.astype(np.float64), 1e-30))
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        scaled = special.log_softmax(logits / np.exp(log_temperature), axis=1)
        return float(log_temperature**2 / 2 - scaled[rows, labels].sum())

    most = np.log(MOST)
    best = optimize.minimize_scalar(loss, bounds=(-most, most), method="bounded")
    return float(np.exp(best.x))


class Softmax(Head):
    """See `headrace.tasks.Head`."""

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
            last_layer(network)

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

    def finish(
        self, network: Any, outputs: Lazy, targets: Targets, training: TrainingSpec
    ) -> Metrics:
        """Temperature scaling: the logits are divided by `best_temperature`."""
        if not (training.calibrate and len(targets)):
            return {"temperature": 1.0}
        temperature = best_temperature(outputs(), targets)
        for weight in last_layer(network).weights:
            weight.assign(np.asarray(weight) / np.float32(temperature))
        return {"temperature": temperature}

    def validation_metrics(
        self, network: Any, outputs: Outputs, targets: Targets
    ) -> Metrics:
        """Log loss and accuracy."""
        true = outputs[np.arange(len(outputs)), targets]
        return {
            "val_loss": float(-np.log(np.maximum(true, 1e-7)).mean()),
            "val_accuracy": float((outputs.argmax(1) == targets).mean()),
        }


PART = Softmax()
