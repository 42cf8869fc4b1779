"""Temperature scaling: calibrated confidence after training.

All logits are divided by one number, the temperature, which is chosen on validation
rows (Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks",
2017). The likeliest class stays the same. Label smoothing makes a model underconfident;
this corrects it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.errors import SpecError

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


def calibrate(
    network: Any,
    probabilities: npt.NDArray[np.float32],
    labels: npt.NDArray[np.integer[Any]],
) -> float:
    """Divide a network's logits by `best_temperature`.

    Args:
        network: ends in `last_layer`, whose weights are changed.
        probabilities: its outputs for validation rows, ``(n, classes)``.
        labels: of these rows, ``(n,)``.

    Returns:
        the temperature: above 1 where the network was overconfident.
    """
    temperature = best_temperature(probabilities, labels)
    for weight in last_layer(network).weights:
        weight.assign(np.asarray(weight) / np.float32(temperature))
    return temperature


def best_temperature(
    probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.integer[Any]]
) -> float:
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
