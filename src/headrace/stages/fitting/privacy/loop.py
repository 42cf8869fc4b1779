"""The training loop of a private fit: its samples, its budget, its epsilon by epoch.

A compiled step clips, sums, adds noise and updates.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from headrace.records import Metrics
from headrace.stages.fitting.loop import Loop
from headrace.stages.fitting.privacy import ghost, rowwise
from headrace.stages.fitting.privacy.plan import PADDING, Privacy, Sampler
from headrace.stages.fitting.recipe import Objective
from headrace.stages.fitting.steps import Setup
from headrace.stages.fitting.windows import ShardWindow

EPSILON = "epsilon"  # the metric of an epoch
log = logging.getLogger("headrace")
Step = tuple[Any, Any]  # rows of the passes, seeds of the noise


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


def compile_steps(
    setup: Setup, optimizer: Any, objective: Objective, privacy: Privacy
) -> Callable[[Any, Any, list[Step]], tuple[Any, Any]]:
    """Compile the private training steps, and trace them, so that all variables exist.

    Args:
        setup: of the fit.
        optimizer: built for the network.
        objective: the loss and the score.
        privacy: clip and noise.

    Returns:
        a function of items ``(n, *shape)``, targets ``(n, ...)`` and, for each step,
        its rows ``(passes, size)`` and the seeds of its noise, one for each variable,
        ``(variables, 2)``. It returns the mean loss of each step, and the sum of its
        rows' scores as if it had ``batch_size`` rows, both float32 ``(steps,)``.
    """
    import tensorflow as tf

    inputs, execution = setup.inputs, setup.execution
    size, device = privacy.sampler.size, execution.rows_device
    add_pass = _pass(setup, objective, privacy)
    update = _update(setup, optimizer, privacy)

    def run(items: Any, targets: Any, rows: Any, seeds: Any) -> Any:
        def advance(number: Any, results: Any) -> tuple[Any, Any]:
            def one_pass(index: Any) -> Any:
                with tf.device(device):
                    mine = rows[number, index]
                    mask = tf.cast(mine != PADDING, tf.float32)
                    mine = tf.maximum(mine, 0)
                    batch, truth = tf.gather(items, mine), tf.gather(targets, mine)
                return add_pass(batch, truth, mask)

            def add(index: Any, sums: list[Any], figures: Any) -> Any:
                more, also = one_pass(index)
                sums = [one + other for one, other in zip(sums, more, strict=True)]
                return index + 1, sums, figures + also

            begin, passes = (tf.constant(1), *one_pass(0)), tf.shape(rows)[1]
            _, sums, figures = tf.while_loop(lambda i, *_: i < passes, add, begin)
            update(sums, seeds[number])
            loss, score, count = tf.unstack(figures)
            share = 1.0 / tf.maximum(count, 1.0)
            both = tf.stack([loss * share, score * share * execution.batch_size])
            return number + 1, results.write(number, both)

        steps = tf.shape(rows)[0]
        first = (tf.constant(0), tf.TensorArray(tf.float32, steps))
        _, results = tf.while_loop(lambda number, _: number < steps, advance, first)
        return tf.unstack(tf.reshape(results.stack(), (-1, 2)), axis=1)

    signature = [
        tf.TensorSpec((None, *inputs.shape), inputs.dtype),
        tf.TensorSpec((None, *inputs.target_shape), inputs.target_dtype),
        tf.TensorSpec((None, None, size), tf.int32),
        tf.TensorSpec((None, len(setup.network.trainable_variables), 2), tf.int64),
    ]
    compiled = tf.function(run, input_signature=signature, autograph=False)
    compiled(*(tf.zeros([n or 0 for n in s.shape], s.dtype) for s in signature))

    def run_steps(items: Any, targets: Any, steps: list[Step]) -> tuple[Any, Any]:
        done = [
            compiled(items, targets, np.stack(rows), np.stack(seeds))
            for rows, seeds in map(_columns, _alike(steps))
        ]
        losses, scores = zip(*done, strict=True)
        return tf.concat(losses, 0), tf.concat(scores, 0)

    return run_steps


def _columns(steps: list[Step]) -> tuple[list[Any], list[Any]]:
    return [rows for rows, _ in steps], [seed for _, seed in steps]


def _alike(steps: list[Step]) -> list[list[Step]]:
    """Runs of steps with equally many passes: nearly always all of them."""
    groups: list[list[Step]] = []
    for step in steps:
        if groups and len(groups[-1][0][0]) == len(step[0]):
            groups[-1].append(step)
        else:
            groups.append([step])
    return groups


def _pass(setup: Setup, objective: Objective, privacy: Privacy) -> Any:
    """The clipped sums of a pass; the sums of its losses and scores, and its rows."""
    import tensorflow as tf

    network, preprocessing = setup.network, setup.inputs.preprocessing
    way = ghost if ghost.suits(network) else rowwise
    size, clip = privacy.sampler.size, privacy.clip

    def add_pass(batch: Any, truth: Any, mask: Any) -> tuple[list[Any], Any]:
        batch = tf.ensure_shape(batch, (size, *batch.shape[1:]))
        if preprocessing is not None:
            batch = preprocessing(tf.cast(batch, tf.float32))
        losses = objective.losses
        given = network, losses, clip, batch, truth, mask
        sums, of_rows, outputs = way.clipped_sum(*given)
        scores = objective.scores(truth, outputs)
        both = [tf.tensordot(mask, values, 1) for values in (of_rows, scores)]
        return sums, tf.stack([*both, tf.reduce_sum(mask)])

    return tf.function(add_pass, jit_compile=setup.execution.xla, autograph=False)


def _update(setup: Setup, optimizer: Any, privacy: Privacy) -> Any:
    """Add the noise of a step to its sums, and update the weights."""
    import tensorflow as tf

    variables = setup.network.trainable_variables
    shapes = [tuple(map(int, v.shape)) for v in variables]
    share = 1.0 / setup.execution.batch_size
    deviation = privacy.noise * privacy.clip * share

    def update(sums: list[Any], seeds: Any) -> None:
        gradients = [
            value * share + gaussian(shape, seed, deviation)
            for value, shape, seed in zip(sums, shapes, tf.unstack(seeds), strict=True)
        ]
        optimizer.apply(_with_penalties(gradients, variables), variables)

    return update


def _with_penalties(gradients: list[Any], variables: list[Any]) -> list[Any]:
    """Add the gradients of regularizers, which depend on the weights alone."""
    import tensorflow as tf

    regularized = [v for v in variables if v.regularizer is not None]
    if not regularized:
        return gradients
    with tf.GradientTape() as tape:
        penalty = tf.add_n([v.regularizer(v) for v in regularized])
    values = [v.value for v in variables]
    penalties = tape.gradient(penalty, values, unconnected_gradients="zero")
    return [g + p for g, p in zip(gradients, penalties, strict=True)]


def gaussian(shape: tuple[int, ...], seed: Any, deviation: float) -> Any:
    """Normal numbers with a mean of 0, float32 ``shape``, which follow from the seed.

    Args:
        shape: of the result, with open sizes refused.
        seed: int64 ``(2,)``, of which each value gives other numbers.
        deviation: their standard deviation.
    """
    import tensorflow as tf

    return tf.random.stateless_normal(shape, seed, 0.0, deviation, alg="philox")
