"""The order of an epoch, computed from (seed, epoch): any step is reached at once.

Shards are dealt at random into windows that fit into memory, and the rows of a window
are shuffled. A shard is a random sample of the data, by its items' hashes, so a few
shuffled together are near a shuffle of everything; data that fits into one window is
shuffled as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_OF_SHARDS = 2**32 - 1  # no window has this number


@dataclass(frozen=True, slots=True)
class Window:
    """A part of an epoch.

    Attributes:
        shards: which are read, ascending.
        rows: how many rows they hold.
        first_step: of the epoch, that is the first of this window.
        steps: how many there are.
    """

    shards: tuple[int, ...]
    rows: int
    number: int
    first_step: int
    steps: int


def windows_of_epoch(
    counts: npt.NDArray[np.int64],
    window_rows: int,
    batch_size: int,
    seed: int,
    epoch: int,
) -> list[Window]:
    """Deal the shards of an epoch into windows of at most about ``window_rows``."""
    rows = int(counts.sum())
    number = min(max(1, -(-rows // window_rows)), len(counts))
    dealt = np.array_split(_random(seed, epoch, _OF_SHARDS, len(counts)), number)
    windows, step = [], 0
    for index, shards in enumerate(dealt):
        count = int(counts[shards].sum())
        steps = -(-count // batch_size)
        chosen = tuple(sorted(shards.tolist()))
        windows.append(Window(chosen, count, index, step, steps))
        step += steps
    return [window for window in windows if window.steps]


def steps_of_window(
    window: Window, batch_size: int, seed: int, epoch: int
) -> npt.NDArray[np.int32]:
    """The rows of each step, as places in the window, int32 ``(steps, batch_size)``.

    Every row comes once; the last batch is filled up from the window's first rows, so
    that all steps have one shape.
    """
    order = _random(seed, epoch, window.number, window.rows).astype(np.int32)
    return np.resize(order, (window.steps, batch_size))


def _random(seed: int, epoch: int, window: int, count: int) -> npt.NDArray[np.int64]:
    key = np.array([seed, window << 32 | epoch], np.uint64)
    return np.random.Generator(np.random.Philox(key=key)).permutation(count)
