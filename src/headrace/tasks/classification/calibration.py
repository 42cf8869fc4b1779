"""How sure a model says it is, set right once it is fitted.

Temperature scaling (Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural
Networks", 2017): all logits are divided by one number, chosen on rows that were not
fitted. Label smoothing leaves a model less sure than it could be; this takes that back,
and which class is the likeliest stays as it was.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.errors import SpecError

MOST = 8.0  # a temperature is between one eighth and this


def last_layer(network: Any) -> Any:
    """The dense layer with a softmax that a network ends in.

    Raises:
        SpecError: it ends in another.
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
    given: npt.NDArray[np.float32],
    labels: npt.NDArray[np.integer[Any]],
) -> float:
    """Divide a network's logits by the temperature that suits some rows best.

    Args:
        network: ends in `last_layer`, whose weights are changed.
        given: its probabilities of rows that it was not fitted to, ``(n, classes)``.
        labels: of these rows, ``(n,)``.

    Returns:
        the temperature: above 1 where the network was too sure.
    """
    temperature = best_temperature(given, labels)
    for weight in last_layer(network).weights:
        weight.assign(np.asarray(weight) / np.float32(temperature))
    return temperature


def best_temperature(
    given: npt.NDArray[np.float32], labels: npt.NDArray[np.integer[Any]]
) -> float:
    """The temperature with the lowest log loss.

    One row counts for the temperature that there is, so that a handful of rows, all
    told rightly, does not make a model that is never in doubt.

    Args:
        given: probabilities ``(n, classes)``.
        labels: ``(n,)``.
    """
    from scipy import optimize, special

    logits = np.log(np.maximum(given.astype(np.float64), 1e-30))
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        scaled = special.log_softmax(logits / np.exp(log_temperature), axis=1)
        return float(log_temperature**2 / 2 - scaled[rows, labels].sum())

    most = np.log(MOST)
    found = optimize.minimize_scalar(loss, bounds=(-most, most), method="bounded")
    return float(np.exp(found.x))
