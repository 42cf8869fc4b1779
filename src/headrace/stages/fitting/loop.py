"""The training loop: epochs, windows and compiled steps, from any position."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from headrace.errors import Refusal, SpecError
from headrace.interrupts import Deferral, deferred
from headrace.models.logged.loading import answers
from headrace.progress import Progress
from headrace.records import Metrics
from headrace.spec import TrainingSpec
from headrace.stages.fitting.callbacks import Callbacks
from headrace.stages.fitting.checkpoints import (
    Arrays,
    Checkpoints,
    Position,
    State,
    pack,
    unpack,
)
from headrace.stages.fitting.cluster import share, spans_machines
from headrace.stages.fitting.devices import scatter_seeds
from headrace.stages.fitting.execution import Execution
from headrace.stages.fitting.features import Inputs
from headrace.stages.fitting.objective import Objective
from headrace.stages.fitting.optimizers import make_optimizer, variables_of
from headrace.stages.fitting.order import steps_of_window
from headrace.stages.fitting.steps import compile_steps
from headrace.stages.fitting.windows import LoadedWindow, Windows
from headrace.tasks import Task
from headrace.tasks.forms import Outputs

OnEpoch = Callable[[int, Metrics], None]
log = logging.getLogger("headrace")


class Loop:
    """One fit of a network.

    Args:
        model: pre-processing and network, for the validation split.
        network: the fitted one.
        inputs: of the network.
        spec: the recipe.
        execution: how steps are computed.
        strategy: of the devices; the networks were built in its scope.
        task: what is learned.
        folder: of the pipeline.
        checkpoints: None: the fit writes none.

    Attributes:
        progress: the position of the fit.
        inexact: attributes of the user's callbacks that checkpoints do not store.

    Raises:
        SpecError: an object that the recipe names cannot be made.
    """

    def __init__(  # noqa: PLR0913
        self,
        model: Any,
        network: Any,
        inputs: Inputs,
        spec: TrainingSpec,
        execution: Execution,
        strategy: Any,
        task: Task,
        folder: Path,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        if spec.patience and not len(inputs.val.targets):
            raise SpecError(
                f"training.patience = {spec.patience}, and there are no validation "
                "rows to stop by.",
                "Give the data a split called val, or leave patience out.",
            )
        steps = execution.steps_per_epoch * spec.epochs
        self._objective = Objective(task, spec, folder)
        self._objective.check(network.outputs[0], inputs.target_dtype)
        with strategy.scope():
            optimizer = make_optimizer(spec, steps, folder)
            optimizer.build(network.trainable_variables)
        self._callbacks = Callbacks(spec, folder, network, optimizer)
        self._model, self._network, self._inputs = model, network, inputs
        self._spec, self._checkpoints = spec, checkpoints
        self._execution, self._strategy = execution, strategy
        self._run = compile_steps(
            network, inputs, optimizer, execution, strategy, self._objective
        )
        self._variables = [*model.variables, *variables_of(optimizer)]
        self._best: Arrays = []
        self._interrupt = Deferral(is_critical=False)
        self.progress = Position()

    def run(self, on_epoch: OnEpoch) -> None:
        """Fit; the network ends with the weights of its best epoch.

        With a constant learning rate, validation losses vary from epoch to epoch, so
        the best epoch is the one with the lowest. It is the last one where there is no
        validation split, and where the learning rate falls to zero.

        Args:
            on_epoch: called with the epoch, from 1, and its metrics; first for the
                epochs before the checkpoint from which the fit resumes.

        Raises:
            Refusal: the loss is no longer finite.
            IntegrityError: the data is damaged.
            DependencyError: a checkpoint could not be written.
            KeyboardInterrupt: Ctrl-C; a checkpoint has been written.
        """
        self._resume()
        for number, metrics in enumerate(self.progress.epochs, start=1):
            on_epoch(number, metrics)
        windows = Windows(self._inputs, self._execution, self._spec.seed)
        with deferred() as self._interrupt, contextlib.closing(windows):
            while not self._is_over():
                if not self.progress.step:
                    self._callbacks.begin_epoch(self.progress.epoch)
                what = f"epoch {self.progress.epoch + 1}/{self._spec.epochs}"
                steps = self._execution.steps_per_epoch
                with Progress(what, steps, "steps") as self._shown:
                    for window in windows.of(self.progress.epoch, self.progress.step):
                        self._run_window(window)
                metrics = self._end_epoch()
                on_epoch(self.progress.epoch, metrics)
                self._save_if_due()
        self._callbacks.end()
        if self._best:
            self._network.set_weights(self._best)

    @property
    def inexact(self) -> set[str]:
        """See the attributes of the class."""
        return self._callbacks.inexact

    def _is_over(self) -> bool:
        progress, patience = self.progress, self._spec.patience
        waited = progress.epoch - progress.kept
        stopped = progress.is_stopped or 0 < patience <= waited
        if stopped and progress.epoch < self._spec.epochs:
            log.info(
                "train: stopped early, after epoch %d; the best is epoch %d",
                progress.epoch,
                progress.kept or progress.epoch,
            )
        return stopped or progress.epoch >= self._spec.epochs

    def _resume(self) -> None:
        state = self._newest_state()
        if spans_machines(self._strategy):
            data = share(self._strategy, pack(state) if state else b"")
            state = unpack(data) if data else None
        if state is not None:
            for variable, value in zip(self._variables, state.variables, strict=True):
                variable.assign(value)
            self.progress, self._best = state.progress, state.best
        self._callbacks.begin(self.progress.callbacks)
        scatter_seeds(self._strategy, self._model)

    def _newest_state(self) -> State | None:
        if self._checkpoints is None:
            return None
        made_on = {**self._checkpoints.machine, **dataclasses.asdict(self._execution)}
        self.progress.made_on = made_on
        weights = len(self._network.weights)
        return self._checkpoints.load(self._values(), weights, made_on)

    def _values(self) -> Arrays:
        return [np.asarray(variable) for variable in self._variables]

    def _run_window(self, loaded: LoadedWindow) -> None:
        progress, window = self.progress, loaded.window
        checkpoints = self._checkpoints  # all machines need equal steps, or they hang
        every = self._spec.checkpoint_steps
        if checkpoints:
            every = checkpoints.every_steps
        rows = steps_of_window(
            window, self._execution.batch_size, self._spec.seed, progress.epoch
        )
        while (at := progress.step - window.first_step) < window.steps:
            count = min(self._execution.steps_per_execution, window.steps - at)
            if every:
                count = min(count, every - progress.total_steps % every)
            wall, cpu = time.perf_counter(), time.process_time()
            done = self._run(loaded.items, loaded.targets, rows[at : at + count])
            losses, scores = (values.numpy().tolist() for values in done)
            for loss, score in zip(losses, scores, strict=True):
                progress.loss_sum += loss  # one by one: a resumed sum is equal
                progress.score_sum += score
            progress.seconds += time.perf_counter() - wall
            progress.cpu_seconds += time.process_time() - cpu
            progress.step += count
            progress.total_steps += count
            self._save_if_due()
            loss = f"loss {progress.loss_sum / progress.step:.4f}"
            self._shown.update(progress.step, loss)

    def _save_if_due(self) -> None:
        """Write a checkpoint if one is due, or if the fit is interrupted."""
        checkpoints, progress = self._checkpoints, self.progress
        is_interrupted = self._interrupt.is_requested
        if checkpoints and (is_interrupted or checkpoints.is_due(progress.total_steps)):
            progress.callbacks = self._callbacks.states()
            checkpoints.save(State(progress, self._values(), self._best))
            if is_interrupted:
                log.info("train: interrupted; a next run goes on at %s", progress.place)
        if is_interrupted:  # a later interrupt waits for the next call
            self._interrupt.act()

    def _end_epoch(self) -> Metrics:
        """Validate the epoch, and record its metrics."""
        progress = self.progress
        metrics = {
            "train_loss": progress.loss_sum / progress.step,
            f"train_{self._objective.score}": progress.score_sum
            / (progress.step * self._execution.batch_size),
            "epoch_seconds": progress.seconds,
            "epoch_cpu_seconds": progress.cpu_seconds,
            **self._validate(),
        }
        if not np.isfinite(metrics["train_loss"]):
            raise Refusal(
                f"Training diverged: the loss of epoch {progress.epoch + 1} is "
                f"{metrics['train_loss']}.",
                "Lower training.learning_rate.",
            )
        lower = metrics.get("val_loss", np.inf) < progress.lowest
        if lower and self._spec.keeps_best_epoch:
            progress.kept, progress.lowest = progress.epoch + 1, metrics["val_loss"]
            self._best = self._network.get_weights()
        progress.epochs.append(metrics)
        progress.is_stopped = self._callbacks.end_epoch(progress.epoch, metrics)
        progress.epoch += 1
        progress.step, progress.loss_sum, progress.score_sum = 0, 0.0, 0.0
        progress.seconds, progress.cpu_seconds = 0.0, 0.0
        return metrics

    def validation(self) -> Outputs:
        """The model's answers to the validation split, ``(rows, ...)``."""
        is_prepared = self._inputs.preprocessing is None
        model = self._network if is_prepared else self._model
        return answers(model, self._inputs.val.items)

    def _validate(self) -> Metrics:
        targets = self._inputs.val.targets
        if not len(targets):
            return {}
        return self._objective.validate(self._network, self.validation(), targets)
