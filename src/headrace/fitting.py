"""Fits a network: the order of the rows, the optimizer, how steps are executed.

Knows nothing of pipelines, MLflow or files. All that decides the resulting weights
follows from the training table, the number of rows and the device.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.errors import Refusal
from headrace.inference import probabilities
from headrace.records import Metrics
from headrace.spec import TrainingSpec

STEPS_PER_EXECUTION = 512

OnEpoch = Callable[[int, Metrics], None]


@dataclass(frozen=True, slots=True)
class Execution:
    """How the steps are computed; recorded with the run, equal on a repeat."""

    device: str
    threads: int
    precision: str
    xla: bool
    batch_size: int
    steps_per_epoch: int
    steps_per_execution: int


def plan_execution(spec: TrainingSpec, rows: int) -> Execution:
    """Follow from the spec, the number of rows and the device alone.

    XLA is for GPUs: on CPUs it made a dense step no faster and a convolution 2.5
    times slower.
    """
    import keras

    device = keras.distribution.list_devices()[0].split(":")[0]
    batch_size = min(spec.batch_size, rows)
    steps = -(-rows // batch_size)
    return Execution(
        device=device,
        threads=len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1,
        precision=keras.config.dtype_policy().name,
        xla=device == "gpu",
        batch_size=batch_size,
        steps_per_epoch=steps,
        steps_per_execution=min(steps, STEPS_PER_EXECUTION),
    )


def epoch_order(
    seed: int, epoch: int, rows: int, batch_size: int
) -> npt.NDArray[np.int32]:
    """The row indices of each step of an epoch, int32 ``(steps, batch_size)``.

    Computed from (seed, epoch) alone. Every row comes once; the last batch is filled
    up from the epoch's first rows, so that all steps have one shape.
    """
    generator = np.random.Generator(np.random.Philox(key=[seed, epoch]))
    order = generator.permutation(rows).astype(np.int32)
    steps = -(-rows // batch_size)
    return np.resize(order, steps * batch_size).reshape(steps, batch_size)


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
    return keras.optimizers.SGD(rate, momentum=spec.momentum, nesterov=spec.nesterov)


def weights_digest(model: Any) -> str:
    """sha256 over (path, dtype, shape, bytes) of every weight of a Keras model."""
    sha = hashlib.sha256()
    for weight in model.weights:
        value = np.ascontiguousarray(np.asarray(weight))
        sha.update(f"{weight.path} {value.dtype.str} {value.shape}\n".encode())
        sha.update(value.tobytes())
    return sha.hexdigest()


@dataclass(frozen=True, slots=True)
class Examples:
    """Items with their class indices.

    Attributes:
        items: uint8 ``(n, *shape)``.
        labels: int32 ``(n,)``.
    """

    items: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int32]


def fit(  # noqa: PLR0913
    model: Any,
    network: Any,
    preprocessing: Any,
    train: Examples,
    val: Examples,
    spec: TrainingSpec,
    execution: Execution,
    on_epoch: OnEpoch,
) -> int:
    """Fit ``network`` in place, epoch by epoch; it keeps its best epoch's weights.

    A constant learning rate leaves the last epoch's weights a matter of luck, so the
    epoch with the lowest validation loss is kept, or the last where there is none.

    Args:
        model: the composition, used to measure the validation split.
        network: what is fitted.
        preprocessing: applied to each batch on its way to the network.
        train, val: the two splits.
        spec: the recipe.
        execution: from `plan_execution`.
        on_epoch: called with the epoch, from 1, and its metrics.

    Returns:
        the epoch that was kept, from 1.

    Raises:
        Refusal: the loss is no longer finite.
    """
    import tensorflow as tf

    network.compile(
        optimizer=make_optimizer(spec),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        steps_per_execution=execution.steps_per_execution,
        jit_compile=execution.xla,
    )
    items, labels = tf.constant(train.items), tf.constant(train.labels)

    def gather(rows: Any) -> Any:
        batch = tf.gather(items, rows)
        return preprocessing(tf.cast(batch, tf.float32)), tf.gather(labels, rows)

    kept, lowest, weights = spec.epochs, np.inf, None
    for epoch in range(spec.epochs):
        started = time.perf_counter()
        order = epoch_order(spec.seed, epoch, len(train.items), execution.batch_size)
        dataset = tf.data.Dataset.from_tensor_slices(order).map(gather, 2, True)
        history = network.fit(
            dataset.prefetch(8),
            initial_epoch=epoch,
            epochs=epoch + 1,
            shuffle=False,
            verbose=0,
        ).history
        metrics = {
            "train_loss": float(history["loss"][-1]),
            "train_accuracy": float(history["accuracy"][-1]),
            "epoch_seconds": time.perf_counter() - started,
            **_validate(model, val),
        }
        if not np.isfinite(metrics["train_loss"]):
            raise Refusal(
                f"Training diverged: the loss of epoch {epoch + 1} is "
                f"{metrics['train_loss']}.",
                "Lower training.learning_rate.",
            )
        if metrics.get("val_loss", np.inf) < lowest:
            kept, lowest = epoch + 1, metrics["val_loss"]
            weights = network.get_weights()
        on_epoch(epoch + 1, metrics)
    if weights is not None:
        network.set_weights(weights)
    return kept


def _validate(model: Any, val: Examples) -> Metrics:
    if not len(val.items):
        return {}
    given = probabilities(model, val.items)
    true = given[np.arange(len(given)), val.labels]
    return {
        "val_loss": float(-np.log(np.maximum(true, 1e-7)).mean()),
        "val_accuracy": float((given.argmax(1) == val.labels).mean()),
    }
