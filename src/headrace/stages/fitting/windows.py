"""The windows of an epoch: their order, and the reading of the next in the background.

The order is computed from (seed, epoch), so that any step is reached at once. Shards
are assigned at random to windows that fit into memory, and the rows of a window are
shuffled. Shards are random samples of the data, since items are in hash order. So this
is close to a shuffle of all rows; data in one window is shuffled completely.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.media.arrow import lengths
from headrace.stages.fitting.data import Inputs
from headrace.stages.fitting.execution import Execution

_OF_SHARDS = 2**32 - 1  # no window has this number
_OF_LENGTHS = 2**31
_OF_KEYS = 2**32  # no seed has this bit
_VARIED = 0.2  # of lengths, so that an epoch has other batches than the one before


@dataclass(frozen=True, slots=True)
class ShardWindow:
    """A part of an epoch.

    Attributes:
        shards: to read, ascending.
        rows: the number of rows in them.
        first_step: the number of the window's first step in the epoch.
        steps: the number of its steps.
    """

    shards: tuple[int, ...]
    rows: int
    number: int
    first_step: int
    steps: int


def windows_of_epoch(
    counts: npt.NDArray[np.int64], most: int, batch_size: int, seed: int, epoch: int
) -> list[ShardWindow]:
    """Assign the shards of an epoch to windows of at most about ``most`` rows."""
    rows = int(counts.sum())
    number = min(max(1, -(-rows // most)), len(counts))
    dealt = np.array_split(_random(seed, epoch, _OF_SHARDS, len(counts)), number)
    windows, step = [], 0
    for index, shards in enumerate(dealt):
        count = int(counts[shards].sum())
        steps = -(-count // batch_size)
        chosen = tuple(sorted(shards.tolist()))
        windows.append(ShardWindow(chosen, count, index, step, steps))
        step += steps
    return [window for window in windows if window.steps]


def steps_of_window(
    window: ShardWindow,
    batch_size: int,
    seed: int,
    epoch: int,
    of_rows: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.int32]:
    """The rows of each step, as indices in the window, int32 ``(steps, batch_size)``.

    Every row occurs once. The first rows of the order fill up the last batch, so that
    all steps have one shape.

    Args:
        window: the part of the epoch.
        batch_size: rows of a step.
        seed, epoch: of the order.
        of_rows: their lengths, ``(rows,)``. The rows of a step are then of about one
            length, and the first epoch begins with the shortest ones: a network learns
            to align short sequences first. None: their order is random.
    """
    order = _random(seed, epoch, window.number, window.rows).astype(np.int32)
    if of_rows is None:
        return np.resize(order, (window.steps, batch_size))
    generator = _generator(seed, epoch, window.number + _OF_LENGTHS)
    varied = of_rows * generator.uniform(1 - _VARIED, 1 + _VARIED, window.rows)
    order = order[np.argsort(varied[order], kind="stable")]
    steps = np.resize(order, (window.steps, batch_size))
    return generator.permutation(steps) if epoch else steps


def keys_of_window(
    window: ShardWindow, counts: npt.NDArray[np.int64], seed: int, epoch: int
) -> npt.NDArray[np.int64]:
    """A random number below 2**32 for each row of a window, ``(rows,)``.

    It follows from (seed, epoch, shard, place in the shard) alone.
    """
    parts = [
        _generator(seed + _OF_KEYS, epoch, shard).integers(2**32, size=counts[shard])
        for shard in window.shards
    ]
    return np.concatenate(parts)


def _random(seed: int, epoch: int, window: int, count: int) -> npt.NDArray[np.int64]:
    return _generator(seed, epoch, window).permutation(count)


def _generator(seed: int, epoch: int, window: int) -> np.random.Generator:
    key = np.array([seed, window << 32 | epoch], np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


class Windows:
    """The windows of each epoch; one that holds all the data is read once.

    Args:
        inputs: the train split is read.
        execution: how many rows a window and a batch hold.
        seed: of the order.
    """

    def __init__(self, inputs: Inputs, execution: Execution, seed: int) -> None:
        self._inputs, self._execution, self._seed = inputs, execution, seed
        self._reader = ThreadPoolExecutor(1, "read")
        self._read: tuple[tuple[int, ...], Future[tuple[Any, Any, Any]]] | None = None

    def read_ahead(self) -> None:
        """Begin to read the data, if one window holds it and rows stay as stored."""
        windows = self._all(epoch=0)
        if len(windows) == 1 and self._inputs.preprocessing is not None:
            self._begin(windows[0])

    def close(self) -> None:
        """Stop the thread that reads ahead."""
        self._reader.shutdown(cancel_futures=True)

    def _all(self, epoch: int) -> list[ShardWindow]:
        counts, plan = self._inputs.train.counts, self._execution
        sizes = plan.window_rows, plan.batch_size
        return windows_of_epoch(counts, *sizes, self._seed, epoch)

    def steps(self, epoch: int) -> int:
        """The number of steps of an epoch."""
        return sum(window.steps for window in self._all(epoch))

    def of(self, epoch: int, step: int) -> Iterator[tuple[ShardWindow, Any, Any, Any]]:
        """The windows of an epoch that are unfinished after ``step`` steps.

        Returns:
            each window with its rows as tensors, ``(n, *shape)`` and ``(n, ...)``, and
            the lengths of the rows, ``(n,)``, or None: see `Inputs.varies`.
        """
        windows = [w for w in self._all(epoch) if w.first_step + w.steps > step]
        for place, window in enumerate(windows):
            loaded = self._begin(window).result()
            for following in windows[place + 1 : place + 2]:
                self._begin(following)
            yield window, *loaded

    def keys(self, window: ShardWindow, epoch: int) -> Any:
        """The keys of a window's rows, as a tensor; see `keys_of_window`."""
        import tensorflow as tf

        with tf.device(self._execution.rows_device):
            counts = self._inputs.train.counts
            return tf.constant(keys_of_window(window, counts, self._seed, epoch))

    def _begin(self, window: ShardWindow) -> Future[tuple[Any, Any, Any]]:
        if self._read is None or self._read[0] != window.shards:
            self._read = window.shards, self._reader.submit(self._load, window)
        return self._read[1]

    def _load(self, window: ShardWindow) -> tuple[Any, Any, Any]:
        import tensorflow as tf

        inputs = self._inputs
        items = np.empty((window.rows, *inputs.shape), inputs.dtype)
        shape = (window.rows, *inputs.target_shape)
        targets = np.empty(shape, inputs.target_dtype)
        filled = 0
        for shard in window.shards:
            rows = inputs.train.read(shard)
            place = slice(filled, filled := filled + len(rows.targets))
            items[place], targets[place] = rows.items, rows.targets
        with tf.device(self._execution.rows_device):
            of_rows = _lengths(items) if inputs.varies else None
            return tf.constant(items), tf.constant(targets), of_rows


def _lengths(items: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """The steps of each row ``(n, steps, ...)`` before its padding of zeros."""
    used = np.asarray(items.reshape(*items.shape[:2], -1).any(axis=2))
    return lengths(used)
