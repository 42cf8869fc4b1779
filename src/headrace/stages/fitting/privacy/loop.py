"""The training loop of a private fit: its samples, its budget, its epsilon by epoch."""

from __future__ import annotations

import logging
from typing import Any

from headrace.records import Metrics
from headrace.stages.fitting.loop import Loop
from headrace.stages.fitting.privacy.plan import Privacy, Sampler
from headrace.stages.fitting.privacy.steps import Step, compile_steps
from headrace.stages.fitting.windows import ShardWindow

EPSILON = "epsilon"  # the metric of an epoch
log = logging.getLogger("headrace")


class PrivateLoop(Loop):
    """One private fit of a network; see `headrace.stages.fitting.loop.Loop`.

    All rows are in one window, from which each step samples.
    """

    def _compile(self, optimizer: Any) -> Any:
        given = self._setup, optimizer, self._objective, self._privacy
        return compile_steps(*given)

    @property
    def _privacy(self) -> Privacy:
        privacy = self._setup.privacy
        if privacy is None:
            raise TypeError("a private loop needs a plan of its privacy")
        return privacy

    def _rows_of(self, window: ShardWindow, lengths: Any) -> Any:
        done = self.progress.epoch * self._setup.execution.steps_per_epoch
        variables = len(self._setup.network.trainable_variables)
        return _Samples(self._privacy.sampler, done, variables)

    def _is_over(self) -> bool:
        if super()._is_over():
            return True
        progress, steps = self.progress, self._setup.execution.steps_per_epoch
        if self._privacy.allows((progress.epoch + 1) * steps):
            return False
        log.warning(
            "train: stopped after epoch %d, since another one would exceed epsilon %g",
            progress.epoch,
            self._privacy.budget,
        )
        return True

    def _end_epoch(self) -> Metrics:
        metrics = super()._end_epoch()
        is_last = self.progress.epoch == self._spec.epochs
        steps = self.progress.total_steps
        metrics[EPSILON] = self._privacy.epsilon(steps, exactly=is_last)
        return metrics


class _Samples:
    """The samples of an epoch, computed when they are asked for.

    Args:
        sampler: of all steps.
        done: the steps before the epoch.
        variables: that get noise.
    """

    def __init__(self, sampler: Sampler, done: int, variables: int) -> None:
        self._sampler, self._done, self._variables = sampler, done, variables

    def __getitem__(self, part: slice) -> list[Step]:
        numbers = range(self._done + part.start, self._done + part.stop)
        sampler, count = self._sampler, self._variables
        return [(sampler.sample(n), sampler.noise_seeds(n, count)) for n in numbers]
