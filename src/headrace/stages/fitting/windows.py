"""Reads the windows of an epoch, the next one in the background."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.stages.fitting.execution import Execution
from headrace.stages.fitting.features import Inputs
from headrace.stages.fitting.order import Window, windows_of_epoch


@dataclass(frozen=True, slots=True)
class LoadedWindow:
    """A window with its rows as tensors: ``(n, *shape)`` and ``(n, ...)``."""

    window: Window
    items: Any
    targets: Any


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
        self._read: tuple[tuple[int, ...], Future[tuple[Any, Any]]] | None = None

    def close(self) -> None:
        """Stop reading ahead."""
        self._reader.shutdown(cancel_futures=True)

    def of(self, epoch: int, step: int) -> Iterator[LoadedWindow]:
        """The windows of an epoch that are unfinished after ``step`` steps."""
        counts, plan = self._inputs.train.counts, self._execution
        windows = windows_of_epoch(
            counts, plan.window_rows, plan.batch_size, self._seed, epoch
        )
        windows = [w for w in windows if w.first_step + w.steps > step]
        for place, window in enumerate(windows):
            items, targets = self._begin(window).result()
            for following in windows[place + 1 : place + 2]:
                self._begin(following)
            yield LoadedWindow(window, items, targets)

    def _begin(self, window: Window) -> Future[tuple[Any, Any]]:
        if self._read is None or self._read[0] != window.shards:
            self._read = window.shards, self._reader.submit(self._load, window)
        return self._read[1]

    def _load(self, window: Window) -> tuple[Any, Any]:
        import tensorflow as tf

        inputs = self._inputs
        items = np.empty((window.rows, *inputs.shape), inputs.dtype)
        targets = np.empty(window.rows, inputs.target_dtype)
        filled = 0
        for shard in window.shards:
            rows = inputs.train.read(shard)
            place = slice(filled, filled := filled + len(rows.targets))
            items[place], targets[place] = rows.items, rows.targets
        with tf.device(self._execution.rows_device):
            return tf.constant(items), tf.constant(targets)
