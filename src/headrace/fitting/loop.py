"""The training loop: epochs, windows and compiled steps, from wherever it stands."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from headrace.errors import Refusal
from headrace.fitting.checkpoints import Arrays, Checkpoints, Progress, State
from headrace.fitting.data import Data, Examples
from headrace.fitting.execution import Execution
from headrace.fitting.optimizers import make_optimizer
from headrace.fitting.order import steps_of_window
from headrace.fitting.windows import LoadedWindow, Windows
from headrace.inference import probabilities
from headrace.records import Metrics
from headrace.spec import TrainingSpec

SECONDS_PER_LINE = 10

OnEpoch = Callable[[int, Metrics], None]
log = logging.getLogger("headrace")


class Loop:
    """One fit of a network.

    Args:
        model: the composition of the two, used to measure the validation split.
        network: what is fitted.
        preprocessing: applied to each batch on its way to the network.
        spec: the recipe.
        execution: how steps are computed.
        checkpoints: where they are kept, if any are.
    """

    def __init__(
        self,
        model: Any,
        network: Any,
        preprocessing: Any,
        spec: TrainingSpec,
        execution: Execution,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        optimizer = make_optimizer(spec)
        optimizer.build(network.trainable_variables)
        self._model = model
        self._network = network
        self._spec = spec
        self._execution = execution
        self._checkpoints = checkpoints
        self._run = compile_steps(network, preprocessing, optimizer, execution)
        self._variables = [*model.variables, *optimizer.variables]
        self._best: Arrays = []
        self._said = time.monotonic()
        self.progress = Progress()

    def run(self, data: Data, on_epoch: OnEpoch) -> None:
        """Fit; the network ends with its best epoch's weights.

        A constant learning rate leaves the last epoch's weights a matter of luck, so
        the epoch with the lowest validation loss is kept, or the last where there is
        none.

        Args:
            data: the train split, read window by window, and the val split.
            on_epoch: called with the epoch, from 1, and its metrics; first for the
                epochs that were done before the checkpoint that it goes on from.

        Raises:
            Refusal: the loss is no longer finite.
            IntegrityError: the data is damaged.
            DependencyError: a checkpoint could not be written.
        """
        self._resume()
        for number, metrics in enumerate(self.progress.epochs, start=1):
            on_epoch(number, metrics)
        shape, seed = data.description.shape, self._spec.seed
        with contextlib.closing(
            Windows(data.train, shape, self._execution, seed)
        ) as windows:
            while self.progress.epoch < self._spec.epochs:
                for window in windows.of(self.progress.epoch, self.progress.step):
                    self._run_window(window)
                metrics = self._end_epoch(data.val)
                on_epoch(self.progress.epoch, metrics)
                self._save_if_due()
        if self._best:
            self._network.set_weights(self._best)

    def _resume(self) -> None:
        if self._checkpoints is None:
            return
        values = [np.asarray(variable) for variable in self._variables]
        made_on = {**self._checkpoints.machine, **dataclasses.asdict(self._execution)}
        self.progress.made_on = made_on
        weights = len(self._network.weights)
        state = self._checkpoints.load(values, weights, made_on)
        if state is None:
            return
        for variable, value in zip(self._variables, state.variables, strict=True):
            variable.assign(value)
        self.progress, self._best = state.progress, state.best

    def _run_window(self, loaded: LoadedWindow) -> None:
        progress, window = self.progress, loaded.window
        every = self._checkpoints.every_steps if self._checkpoints else 0
        rows = steps_of_window(
            window, self._execution.batch_size, self._spec.seed, progress.epoch
        )
        while (at := progress.step - window.first_step) < window.steps:
            count = min(self._execution.steps_per_execution, window.steps - at)
            if every:
                count = min(count, every - progress.total_steps % every)
            wall, cpu = time.perf_counter(), time.process_time()
            losses, right = self._run(
                loaded.items, loaded.labels, rows[at : at + count]
            )
            for loss in losses.numpy().tolist():  # one by one, wherever it was cut
                progress.loss_sum += loss
            progress.right += int(right)
            progress.seconds += time.perf_counter() - wall
            progress.cpu_seconds += time.process_time() - cpu
            progress.step += count
            progress.total_steps += count
            self._save_if_due()
            self._say()

    def _save_if_due(self) -> None:
        if self._checkpoints and self._checkpoints.is_due(self.progress.total_steps):
            values = [np.asarray(variable) for variable in self._variables]
            self._checkpoints.save(State(self.progress, values, self._best))

    def _say(self) -> None:
        if time.monotonic() - self._said < SECONDS_PER_LINE:
            return
        self._said = time.monotonic()
        log.info(
            "epoch %d/%d  step %d/%d  loss %.4f",
            self.progress.epoch + 1,
            self._spec.epochs,
            self.progress.step,
            max(self._execution.steps_per_epoch, self.progress.step),
            self.progress.loss_sum / self.progress.step,
        )

    def _end_epoch(self, val: Examples) -> Metrics:
        """Measure the epoch that was done, and count it as such."""
        progress = self.progress
        metrics = {
            "train_loss": progress.loss_sum / progress.step,
            "train_accuracy": progress.right
            / (progress.step * self._execution.batch_size),
            "epoch_seconds": progress.seconds,
            "epoch_cpu_seconds": progress.cpu_seconds,
            **_validate(self._model, val),
        }
        if not np.isfinite(metrics["train_loss"]):
            raise Refusal(
                f"Training diverged: the loss of epoch {progress.epoch + 1} is "
                f"{metrics['train_loss']}.",
                "Lower training.learning_rate.",
            )
        if metrics.get("val_loss", np.inf) < progress.lowest:
            progress.kept, progress.lowest = progress.epoch + 1, metrics["val_loss"]
            self._best = self._network.get_weights()
        progress.epochs.append(metrics)
        progress.epoch += 1
        progress.step, progress.loss_sum, progress.right = 0, 0.0, 0
        progress.seconds, progress.cpu_seconds = 0.0, 0.0
        return metrics


def compile_steps(
    network: Any, preprocessing: Any, optimizer: Any, execution: Execution
) -> Any:
    """The compiled training steps, traced already, so that all variables are there.

    Keras's own step does the same, and a tenth slower: it keeps its metrics in
    variables.

    Returns:
        a function of items uint8 ``(n, *shape)``, labels int32 ``(n,)`` and the rows
        of each step, int32 ``(steps, batch_size)``; it gives the loss of each step,
        float32 ``(steps,)``, and how many rows were told rightly in all.
    """
    import keras
    import tensorflow as tf

    def step(batch: Any, truth: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            given = network(batch, training=True)
            loss = tf.reduce_mean(
                keras.losses.sparse_categorical_crossentropy(truth, given)
            )
            loss = tf.add_n([loss, *network.losses])
        weights = network.trainable_weights
        optimizer.apply(tape.gradient(loss, weights), weights)
        told = tf.argmax(given, 1, tf.int32)
        return loss, tf.reduce_sum(tf.cast(told == truth, tf.int32))

    step = tf.function(step, jit_compile=execution.xla, autograph=False)

    def run(items: Any, labels: Any, rows: Any) -> tuple[Any, Any]:
        losses, right = tf.TensorArray(tf.float32, tf.shape(rows)[0]), 0
        for number in tf.range(tf.shape(rows)[0]):
            chosen = rows[number]
            batch = preprocessing(tf.cast(tf.gather(items, chosen), tf.float32))
            loss, count = step(batch, tf.gather(labels, chosen))
            losses, right = losses.write(number, loss), right + count
        return losses.stack(), right

    shape = preprocessing.inputs[0].shape[1:]
    signature = [
        tf.TensorSpec((None, *shape), tf.uint8),
        tf.TensorSpec((None,), tf.int32),
        tf.TensorSpec((None, execution.batch_size), tf.int32),
    ]
    compiled = tf.function(run, input_signature=signature)
    compiled(*(tf.zeros([n or 0 for n in s.shape], s.dtype) for s in signature))
    return compiled


def _validate(model: Any, val: Examples) -> Metrics:
    if not len(val.items):
        return {}
    given = probabilities(model, val.items)
    true = given[np.arange(len(given)), val.labels]
    return {
        "val_loss": float(-np.log(np.maximum(true, 1e-7)).mean()),
        "val_accuracy": float((given.argmax(1) == val.labels).mean()),
    }
