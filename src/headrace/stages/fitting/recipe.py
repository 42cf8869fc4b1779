"""Makes what ``[training]`` names, of Keras or of the user: loss, metrics, optimizer.

On TensorFlow, SGD updates the weights in one fused operation. Keras takes about ten.
The results are equal, and a step of the network of the founding article on neural
networks in media takes an eighth less time.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.errors import SpecError
from headrace.models import find_function
from headrace.pipeline import TrainingSpec
from headrace.pipeline.keras_names import Named, is_own, keras_name, named
from headrace.records import Metrics
from headrace.tasks import Task
from headrace.tasks.forms import Outputs, Targets

WARMUP_SHARE = 20


def make(kind: str, choice: str | Named, folder: Path, *given: Any) -> Any:
    """Make the object that a field names, with its arguments.

    Args:
        kind: the field, such as ``optimizer``.
        choice: its value.
        folder: of the pipeline, with the user's functions.
        given: the first arguments.

    Raises:
        SpecError: there is no such object, or it rejects the arguments.
    """
    choice = named(choice)
    field, arguments = f"training.{kind}", choice.arguments
    factory = _find(kind, choice.name, folder)
    if kind == "callbacks" and choice.name == "LearningRateScheduler":
        schedule = str(arguments.get("schedule", ""))
        arguments["schedule"] = find_function(f"{field}.schedule", schedule, folder)
    try:
        return factory(*given, **arguments)
    except (Exception, SystemExit) as error:  # whatever the user's own code raises
        message = f"{field} = {choice.name!r} cannot be made: {error}."
        raise SpecError(message, "Mend its arguments.") from error


def make_measure(kind: str, choice: str | Named, folder: Path) -> Any:
    """A loss or a metric: an object of a class, or a function with its arguments.

    Raises:
        SpecError: as `make` does.
    """
    choice = named(choice)
    measure = _find(kind, choice.name, folder)
    if inspect.isclass(measure):
        return make(kind, choice, folder)
    return functools.partial(measure, **choice.arguments)


def _find(kind: str, name: str, folder: Path) -> Any:
    if is_own(name):
        return find_function(f"training.{kind}", name, folder)
    module, attribute = keras_name(kind, name)
    return getattr(importlib.import_module(module), attribute)


class Objective:
    """The loss of the training steps, and the metrics of an epoch.

    Args:
        task: what is learned.
        training: the recipe.
        folder: of the pipeline.

    Attributes:
        score: the name of a row's score.
        scores: gives the score of each row, ``(batch,)``, of targets and outputs.

    Raises:
        SpecError: a loss or a metric cannot be made.
    """

    def __init__(self, task: Task, training: TrainingSpec, folder: Path) -> None:
        self.score, self._head, self._training = (
            task.training_score,
            task.head,
            training,
        )
        self.scores = task.head.training_scores
        self._loss = None
        if training.loss is not None:
            self._loss = make_measure("loss", training.loss, folder)
        measures = [make_measure("metrics", m, folder) for m in training.metrics]
        self._metrics = {f"val_{_name(measure)}": measure for measure in measures}
        twice = {"val_loss", f"val_{self.score}"} & self._metrics.keys()
        if twice or len(self._metrics) < len(measures):
            raise SpecError(
                f"training.metrics: {min(twice or self._metrics)} is measured twice.",
                "Leave one out, or give it another name.",
            )

    def check(self, outputs: Any, target_dtype: npt.DTypeLike) -> None:
        """Try the loss and the metrics of the recipe on two rows.

        Args:
            outputs: of the network.
            target_dtype: of targets.

        Raises:
            SpecError: it fails.
        """
        shape = tuple(size or 1 for size in outputs.shape[1:])
        values = np.full((2, *shape), 1 / max(1, shape[-1]), np.float32)
        targets = np.zeros((2, *shape[:-1]), target_dtype)
        try:
            if self._loss is not None:
                self.losses(None, targets, values)
            for name, measure in self._metrics.items():
                _measured(name, measure, targets, values)
        except SpecError:
            raise
        except (Exception, SystemExit) as error:  # whatever the user's own code raises
            raise SpecError(
                f"training.loss or training.metrics fails on outputs of shape "
                f"{outputs.shape}: {error}.",
                "It takes targets and outputs, both of this shape; what is sparse "
                "takes targets as numbers of classes.",
            ) from error

    def losses(self, network: Any, targets: Any, outputs: Any) -> Any:
        """The loss of each row ``(batch,)``; a user's function may give their mean."""
        if self._loss is None:
            return self._head.losses(network, targets, outputs, self._training)
        return self._loss(_as_taken(self._loss, targets, outputs), outputs)

    def validate(self, network: Any, outputs: Outputs, targets: Targets) -> Metrics:
        """The metrics of the validation split."""
        metrics = self._head.validation_metrics(network, outputs, targets)
        if self._loss is not None:
            metrics["val_loss"] = _mean(self.losses(network, targets, outputs))
        for name, measure in self._metrics.items():
            metrics[name] = _measured(name, measure, targets, outputs)
        return metrics


def _name(measure: Any) -> str:
    function = getattr(measure, "func", measure)
    return str(getattr(function, "name", "") or getattr(function, "__name__", ""))


def _as_taken(measure: Any, targets: Any, outputs: Any) -> Any:
    """Targets in the shape of the outputs, unless a measure takes sparse ones.

    Classes become one-hot vectors; a number becomes a vector with one number.
    """
    from keras import ops

    function = getattr(measure, "func", measure)
    kind = str(getattr(function, "__name__", type(function).__name__)).lower()
    if len(targets.shape) == len(outputs.shape) or "sparse" in kind:
        return targets
    dtype = getattr(targets.dtype, "name", targets.dtype)  # TensorFlow's or NumPy's
    if np.issubdtype(np.dtype(dtype), np.integer):
        return ops.one_hot(targets, outputs.shape[-1])
    return ops.expand_dims(targets, -1)


def _measured(name: str, measure: Any, targets: Targets, outputs: Outputs) -> float:
    import keras

    taken = _as_taken(measure, targets, outputs)
    if not isinstance(measure, keras.metrics.Metric):
        return _mean(measure(taken, outputs))
    measure.reset_state()
    measure.update_state(taken, outputs)
    value = np.asarray(measure.result())
    if value.size != 1:
        raise SpecError(
            f"training.metrics: {name} has {value.size} numbers, and a metric is one.",
            "Give it an argument that makes one of them, such as average.",
        )
    return float(value)


def _mean(values: Any) -> float:
    return float(np.mean(np.asarray(values, np.float64)))


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


def scale_rates(optimizer: Any, variables: Sequence[Any]) -> None:
    """Have variables learn at their own share of the learning rate.

    Args:
        optimizer: not built yet.
        variables: in the order in which it will be built for them. A builder gives one
            that was pretrained an attribute ``rate``, such as 0.005. It does not decay:
            that would lead away from what it has learned.
    """
    scaled = [variable for variable in variables if hasattr(variable, "rate")]
    if not scaled:
        return
    step = optimizer.update_step
    rates = [getattr(variable, "rate", 1.0) for variable in variables]

    def update(gradient: Any, variable: Any, learning_rate: Any) -> Any:
        rate = rates[optimizer._get_variable_index(variable)]
        return step(gradient, variable, learning_rate * rate)

    optimizer.update_step = update
    if optimizer.weight_decay:
        optimizer.exclude_from_weight_decay(var_list=scaled)


def variables_of(optimizer: Any) -> list[Any]:
    """All variables of an optimizer, also those that Keras does not list."""
    import keras

    listed = list(optimizer.variables)
    ids = set(map(id, listed))
    return listed + [
        value
        for name, value in sorted(vars(optimizer).items())
        if isinstance(value, keras.Variable) and id(value) not in ids
    ]


def _rate(spec: TrainingSpec, steps: int, folder: Path) -> Any:
    """The learning rate, or its schedule.

    A constant rate decays as ``learning_rate / (1 + decay * step)``. A cosine falls to
    zero, after a warm-up over a twentieth of the steps.
    """
    from keras.optimizers import schedules

    if spec.schedule == "cosine":
        warmup = max(1, steps // WARMUP_SHARE)
        peak, rest = spec.learning_rate, max(1, steps - warmup)
        return schedules.CosineDecay(0.0, rest, warmup_target=peak, warmup_steps=warmup)
    if spec.schedule != "constant":
        is_stepwise = named(spec.schedule).name == "PiecewiseConstantDecay"
        first = () if is_stepwise else (spec.learning_rate,)  # it has its own values
        return make("schedule", spec.schedule, folder, *first)
    if not spec.decay:
        return spec.learning_rate
    return schedules.InverseTimeDecay(spec.learning_rate, 1, decay_rate=spec.decay)


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
