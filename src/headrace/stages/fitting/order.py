"""The order of an epoch, computed from (seed, epoch): any step is reached at once.

Shards are assigned at random to windows that fit into memory, and the rows of a window
are shuffled. Shards are random samples of the data, since items are in hash order. So
this is close to a shuffle of all rows; data in one window is shuffled completely.
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
    counts: npt.NDArray[np.int64],
    window_rows: int,
    batch_size: int,
    seed: int,
    epoch: int,
) -> list[Window]:
    """Assign the shards of an epoch to windows of at most about ``window_rows``."""
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
    """The rows of each step, as indices in the window, int32 ``(steps, batch_size)``.

    Every row occurs once. The first rows of the order fill up the last batch, so that
    all steps have one shape.
    """
    order = _random(seed, epoch, window.number, window.rows).astype(np.int32)
    return np.resize(order, (window.steps, batch_size))


def _random(seed: int, epoch: int, window: int, count: int) -> npt.NDArray[np.int64]:
    key = np.array([seed, window << 32 | epoch], np.uint64)
    return np.random.Generator(np.random.Philox(key=key)).permutation(count)
