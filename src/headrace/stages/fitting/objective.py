"""The loss and the metrics of a fit: of the task, or those that the recipe names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from headrace.errors import SpecError
from headrace.records import Metrics
from headrace.spec import TrainingSpec
from headrace.stages.fitting.objects import make_measure
from headrace.tasks import Task
from headrace.tasks.forms import Outputs, Targets


class Objective:
    """The loss of the training steps, and the metrics of an epoch.

    Args:
        task: what is learned.
        training: the recipe.
        folder: of the pipeline.

    Attributes:
        score: the name of a row's score.

    Raises:
        SpecError: a loss or a metric cannot be made.
    """

    def __init__(self, task: Task, training: TrainingSpec, folder: Path) -> None:
        self.score, self._head, self._training = task.score, task.head, training
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

    def check(self, outputs: Any, target_dtype: str) -> None:
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

    def scores(self, targets: Any, outputs: Any) -> Any:
        """The score of each row, ``(batch,)``."""
        return self._head.training_scores(targets, outputs)

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
