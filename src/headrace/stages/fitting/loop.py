"""The training loop: epochs and windows of steps, from any position."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from headrace.display.progress import Progress
from headrace.errors import Refusal
from headrace.records import Metrics
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
from headrace.stages.fitting.data import check_patience
from headrace.stages.fitting.execution import scatter_seeds
from headrace.stages.fitting.recipe import (
    Objective,
    make_optimizer,
    scale_rates,
    variables_of,
)
from headrace.stages.fitting.steps import Setup, compile_steps
from headrace.stages.fitting.windows import ShardWindow, Windows, steps_of_window
from headrace.state.interrupts import Deferral, deferred

OnEpoch = Callable[[int, Metrics], None]
log = logging.getLogger("headrace")


class Loop:
    """One fit of a network.

    Args:
        setup: its parts.
        checkpoints: None: the fit writes none.

    Attributes:
        progress: the position of the fit.
        callbacks: of the user.

    Raises:
        SpecError: an object that the recipe names cannot be made.
    """

    def __init__(self, setup: Setup, checkpoints: Checkpoints | None = None) -> None:
        spec, network, inputs = setup.spec, setup.network, setup.inputs
        check_patience(spec, len(inputs.val.targets))
        steps = setup.execution.steps_per_epoch * spec.epochs
        self._objective = Objective(setup.task, spec, setup.folder)
        self._objective.check(network.outputs[0], inputs.target_dtype)
        with setup.strategy.scope():
            optimizer = make_optimizer(spec, steps, setup.folder)
            scale_rates(optimizer, network.trainable_variables)
            optimizer.build(network.trainable_variables)
        self.callbacks = Callbacks(spec, setup.folder, network, optimizer)
        self._setup, self._spec, self._checkpoints = setup, spec, checkpoints
        self._windows = Windows(inputs, setup.execution, spec.seed)
        self._windows.read_ahead()
        self._run = self._compile(optimizer)
        self._variables = [*setup.variables, *variables_of(optimizer)]
        self._best: Arrays = []
        self._interrupt = Deferral(is_critical=False)
        self.progress = Position()

    def _compile(self, optimizer: Any) -> Any:
        """The compiled steps: of items, targets, a slice of `_rows_of`, `_keys_of`."""
        return compile_steps(self._setup, optimizer, self._objective)

    def _rows_of(self, window: ShardWindow, lengths: Any) -> Any:
        """The rows of each step of a window."""
        batch_size, epoch = self._setup.execution.batch_size, self.progress.epoch
        return steps_of_window(window, batch_size, self._spec.seed, epoch, lengths)

    def _keys_of(self, window: ShardWindow) -> tuple[Any, ...]:
        """The keys of a window's rows in this epoch, where there is an augmentation."""
        if self._setup.augmentation is None:
            return ()
        return (self._windows.keys(window, self.progress.epoch),)

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
        network, windows = self._setup.network, self._windows
        with deferred() as self._interrupt, contextlib.closing(windows):
            while not self._is_over():
                if not self.progress.step:
                    self.callbacks.begin_epoch(self.progress.epoch)
                what = f"epoch {self.progress.epoch + 1}/{self._spec.epochs}"
                steps = windows.steps(self.progress.epoch)
                with Progress(what, steps, "steps") as self._shown:
                    for window in windows.of(self.progress.epoch, self.progress.step):
                        self._run_window(*window)
                metrics = self._end_epoch()
                on_epoch(self.progress.epoch, metrics)
                self._save_if_due()
        self.callbacks.end()
        if self._best:
            network.set_weights(self._best)

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
        if spans_machines(self._setup.strategy):
            data = share(self._setup.strategy, pack(state) if state else b"")
            state = unpack(data) if data else None
        if state is not None:
            for variable, value in zip(self._variables, state.variables, strict=True):
                variable.assign(value)
            self.progress, self._best = state.progress, state.best
        self.callbacks.begin(self.progress.callbacks)
        scatter_seeds(self._setup.strategy, self._setup.variables)

    def _newest_state(self) -> State | None:
        if self._checkpoints is None:
            return None
        made_on = {**self._checkpoints.machine, **self._setup.facts}
        self.progress.made_on = made_on
        weights = len(self._setup.network.weights)
        return self._checkpoints.load(self.values(), weights, made_on)

    def values(self) -> Arrays:
        """The present values of all variables: network, optimizer, random states."""
        return [np.asarray(variable) for variable in self._variables]

    def _run_window(
        self, window: ShardWindow, items: Any, targets: Any, lengths: Any
    ) -> None:
        progress, checkpoints = self.progress, self._checkpoints
        # All machines need equal steps, or they hang.
        every = checkpoints.every_steps if checkpoints else self._spec.checkpoint_steps
        plan, rows = self._setup.execution, self._rows_of(window, lengths)
        keys = self._keys_of(window)
        while (at := progress.step - window.first_step) < window.steps:
            count = min(plan.steps_per_execution, window.steps - at)
            if every:
                count = min(count, every - progress.total_steps % every)
            wall, cpu = time.perf_counter(), time.process_time()
            done = self._run(items, targets, rows[at : at + count], *keys)
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
            progress.callbacks = self.callbacks.states()
            checkpoints.save(State(progress, self.values(), self._best))
            if is_interrupted:
                log.info("train: interrupted; a next run goes on at %s", progress.place)
        if is_interrupted:  # a later interrupt waits for the next call
            self._interrupt.act()

    def _end_epoch(self) -> Metrics:
        """Validate the epoch, and record its metrics."""
        progress, network = self.progress, self._setup.network
        metrics = {
            "train_loss": progress.loss_sum / progress.step,
            f"train_{self._objective.score}": progress.score_sum
            / (progress.step * self._setup.execution.batch_size),
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
            self._best = network.get_weights()
        progress.epochs.append(metrics)
        progress.is_stopped = self.callbacks.end_epoch(progress.epoch, metrics)
        progress.epoch += 1
        progress.step, progress.loss_sum, progress.score_sum = 0, 0.0, 0.0
        progress.seconds, progress.cpu_seconds = 0.0, 0.0
        return metrics

    def _validate(self) -> Metrics:
        setup, targets = self._setup, self._setup.inputs.val.targets
        if not len(targets):
            return {}
        return self._objective.validate(setup.network, setup.validation(), targets)
