"""The optimizers; on TensorFlow, SGD's update is one pass over the weights.

Keras writes it as some ten passes. Fused, the numbers are the same, and a step of the
article's network takes an eighth less time.
"""

from __future__ import annotations

import functools
from typing import Any

from headrace.spec import TrainingSpec


def make_optimizer(spec: TrainingSpec) -> Any:
    """The optimizer, its rate falling as ``learning_rate / (1 + decay * step)``."""
    import keras

    rate: Any = spec.learning_rate
    if spec.decay:
        rate = keras.optimizers.schedules.InverseTimeDecay(
            spec.learning_rate, decay_steps=1, decay_rate=spec.decay
        )
    if spec.optimizer == "adam":
        return keras.optimizers.Adam(rate)
    sgd = keras.optimizers.SGD(rate, momentum=spec.momentum, nesterov=spec.nesterov)
    if spec.momentum and keras.backend.backend() == "tensorflow":
        # Not a class of ours: a saved model would name it.
        sgd.update_step = functools.partial(_fused_update, sgd)
    return sgd


def _fused_update(sgd: Any, gradient: Any, variable: Any, learning_rate: Any) -> None:
    import tensorflow as tf

    momentum = sgd.momentums[sgd._get_variable_index(variable)]
    tf.raw_ops.ResourceApplyKerasMomentum(
        var=_handle(variable),
        accum=_handle(momentum),
        lr=tf.cast(learning_rate, variable.dtype),
        grad=gradient,
        momentum=tf.cast(sgd.momentum, variable.dtype),
        use_nesterov=sgd.nesterov,
    )


def _handle(variable: Any) -> Any:
    return getattr(variable, "_value", variable).handle
