"""Calibrated confidence of networks that end in a softmax.

Temperature scaling calibrates after training: all logits are divided by one number, the
temperature, which is chosen on validation rows (Guo, Pleiss, Sun and Weinberger, "On
Calibration of Modern Neural Networks", 2017). The likeliest answer stays the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.display.pictures import INK, new_figure, save
from headrace.errors import SpecError
from headrace.pipeline import TrainingSpec
from headrace.records import Metrics
from headrace.tasks import Head
from headrace.tasks.forms import Lazy, Outputs, Targets

LEAST = 1e-30  # a probability whose logarithm is finite
MOST = 8.0  # a temperature is between one eighth and this


class Calibrated(Head):
    """A head whose network ends in a softmax, which can be calibrated.

    Attributes:
        ACTIVATION: of the network's last layer.
    """

    ACTIVATION = "softmax"

    def best_temperature(self, outputs: Outputs, targets: Targets) -> float:
        """The temperature with the lowest loss; see `temperature_of`."""
        raise NotImplementedError

    def check_training(self, network: Any, training: TrainingSpec) -> None:
        """Refuse to calibrate a network that ends in another layer."""
        if training.calibrate:
            last_layer(network, self.ACTIVATION)

    def finish(
        self, network: Any, outputs: Lazy, targets: Targets, training: TrainingSpec
    ) -> Metrics:
        """Temperature scaling: the logits are divided by `best_temperature`."""
        if not (training.calibrate and len(targets)):
            return {"temperature": 1.0}
        temperature = self.best_temperature(outputs(), targets)
        for weight in last_layer(network, self.ACTIVATION).weights:
            weight.assign(np.asarray(weight) / np.float32(temperature))
        return {"temperature": temperature}


def tempered(probabilities: Outputs, temperature: float) -> npt.NDArray[np.float64]:
    """The softmax of logits that are divided by a temperature.

    Args:
        probabilities: ``(..., classes)``, of which the logits are the logarithms.
        temperature: above 0.

    Returns:
        float64, of the same shape.
    """
    logits = np.log(np.maximum(probabilities.astype(np.float64), LEAST)) / temperature
    scaled = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(scaled / scaled.sum(axis=-1, keepdims=True))


def last_layer(network: Any, wanted: str = "softmax") -> Any:
    """The network's last layer, a dense one with an activation, such as a softmax.

    Raises:
        SpecError: it is another kind of layer.
    """
    import keras

    layer = network.layers[-1]
    dense = isinstance(layer, keras.layers.Dense)
    if not dense or layer.activation is not getattr(keras.activations, wanted):
        activation = getattr(getattr(layer, "activation", None), "__name__", "none")
        raise SpecError(
            "training.calibrate = true: the network ends in a layer "
            f"{type(layer).__name__} ({layer.name}) with the activation {activation}.",
            f"End it in one Dense layer with activation='{wanted}', or leave calibrate "
            "out.",
        )
    return layer


def temperature_of(loss: Callable[[float], float], **options: float) -> float:
    """The temperature with the lowest loss.

    A prior with the weight of one row draws it towards 1. Without it, a few rows that
    are all predicted correctly would give unlimited confidence.

    Args:
        loss: the sum of the losses of all rows at a temperature.
        options: of the search, such as ``xatol``.
    """
    from scipy import optimize

    def with_prior(log_temperature: float) -> float:
        return float(log_temperature**2 / 2 + loss(np.exp(log_temperature)))

    most = np.log(MOST)
    best = optimize.minimize_scalar(
        with_prior, bounds=(-most, most), method="bounded", options=options
    )
    return float(np.exp(best.x))


def bins_of(
    confidence: npt.NDArray[np.float64], right: npt.NDArray[np.bool_], bins: int
) -> list[Metrics]:
    """Rows, mean confidence and accuracy in equal bins of confidence ``(n,)``."""
    index = (np.nan_to_num(confidence.clip(0, 1)) * bins).astype(int).clip(max=bins - 1)
    return [
        {
            "rows": float(rows.sum()),
            "confidence": float(confidence[rows].mean()) if rows.any() else 0.0,
            "accuracy": float(right[rows].mean()) if rows.any() else 0.0,
        }
        for rows in (index == number for number in range(bins))
    ]


def calibration_error(bins: Sequence[Metrics]) -> float:
    """Expected calibration error: the mean gap between accuracy and confidence.

    Source: M. P. Naeini, G. F. Cooper, M. Hauskrecht, Obtaining well calibrated
    probabilities using Bayesian binning, AAAI 2015.
    """
    rows = sum(b["rows"] for b in bins)
    gaps = sum(b["rows"] * abs(b["accuracy"] - b["confidence"]) for b in bins)
    return gaps / rows if rows else math.nan


def draw_calibration(bins: Sequence[Mapping[str, float]], path: Path) -> None:
    """Draw accuracy by confidence, and the number of rows in each bin."""
    figure = new_figure(3.8, 4.2)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    upper.plot([0, 1], [0, 1], "--", color="grey", lw=1, label="perfect")
    filled = [b for b in bins if b["rows"]]
    confidence = [b["confidence"] for b in filled]
    accuracy = [b["accuracy"] for b in filled]
    upper.plot(confidence, accuracy, "o-", color=INK, label="test split")
    upper.set(ylabel="accuracy", title="calibration")
    upper.legend()
    edges = np.arange(len(bins)) / len(bins)
    rows = [b["rows"] for b in bins]
    drawn = lower.bar(edges, rows, 0.9 / len(bins), align="edge", color=INK)
    lower.bar_label(drawn, [f"{n:,.0f}" if n else "" for n in rows], fontsize=7)
    lower.margins(y=0.25)
    lower.set(xlabel="confidence", ylabel="rows")
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
    save(figure, path)
