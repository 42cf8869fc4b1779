"""The optimizers. On TensorFlow, SGD updates the weights in one fused operation.

Keras takes about ten. The results are equal, and a step of the network of the founding
article on neural networks in media takes an eighth less time.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from headrace.errors import SpecError
from headrace.spec import TrainingSpec
from headrace.spec.training import Named, is_own, keras_name, named
from headrace.stages.fitting.objects import make

WARMUP_SHARE = 20


def make_optimizer(spec: TrainingSpec, steps: int, folder: Path = Path()) -> Any:
    """The optimizer and its schedule.

    Args:
        spec: the recipe.
        steps: of all epochs.
        folder: of the pipeline.

    Raises:
        SpecError: one of them cannot be made.
    """
    import keras

    rate, choice = _rate(spec, steps, folder), named(spec.optimizer)
    defaults: dict[str, Any] = {}
    if not is_own(choice.name):
        kind = keras_name("optimizer", choice.name)[1]
        if kind == "SGD":
            defaults = {"momentum": spec.momentum, "nesterov": spec.nesterov}
        elif spec.weight_decay:
            defaults = {"weight_decay": spec.weight_decay}
            kind = "AdamW" if kind == "Adam" else kind
        choice = Named(name=kind, **{**defaults, **choice.arguments})
    optimizer = make("optimizer", choice, folder, rate)
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise SpecError(
            f"training.optimizer = {choice.name!r} gives a "
            f"{type(optimizer).__name__}, and not a keras.optimizers.Optimizer.",
            "Return an optimizer.",
        )
    is_sgd = type(optimizer) is keras.optimizers.SGD
    if is_sgd and optimizer.momentum and keras.backend.backend() == "tensorflow":
        # Not a class of our own, which a saved model would name.
        optimizer.update_step = functools.partial(_fused_update, optimizer)
    return optimizer


def variables_of(optimizer: Any) -> list[Any]:
    """All variables of an optimizer, also those that Keras does not list."""
    import keras

    listed = list(optimizer.variables)
    known = set(map(id, listed))
    return listed + [
        value
        for name, value in sorted(vars(optimizer).items())
        if isinstance(value, keras.Variable) and id(value) not in known
    ]


def _rate(spec: TrainingSpec, steps: int, folder: Path) -> Any:
    """The learning rate, or its schedule.

    A constant rate decays as ``learning_rate / (1 + decay * step)``. A cosine falls to
    zero, after a warm-up over a twentieth of the steps.
    """
    from keras.optimizers import schedules

    if spec.schedule == "cosine":
        warmup = max(1, steps // WARMUP_SHARE)
        return schedules.CosineDecay(
            0.0,
            max(1, steps - warmup),
            warmup_target=spec.learning_rate,
            warmup_steps=warmup,
        )
    if spec.schedule != "constant":
        is_stepwise = named(spec.schedule).name == "PiecewiseConstantDecay"
        first = () if is_stepwise else (spec.learning_rate,)  # it has its own values
        return make("schedule", spec.schedule, folder, *first)
    if not spec.decay:
        return spec.learning_rate
    return schedules.InverseTimeDecay(
        spec.learning_rate, decay_steps=1, decay_rate=spec.decay
    )


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
