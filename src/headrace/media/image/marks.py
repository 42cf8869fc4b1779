"""Marks in images that give a class away, such as a square in one corner.

A mark is at the same place of nearly all images of a class, and of hardly any other.
One that moves from image to image is not seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.media.forms import Flags
from headrace.media.image.near import blocks
from headrace.media.image.pixels import Pixels

Levels = npt.NDArray[np.int16]
Labels = npt.NDArray[Any]

# Natural values: one pixel reaches 0.92 for the zeros of 8 x 8 digits, 0.74 in MNIST.
GIVEN_AWAY = 0.98
_POSITIONS = 4096
# JPEG changes most pixels of a mark by less.
_SAME = 16
_IN_CLASS = 0.98
_FEWEST_IN_CLASS = 20
# Of a mark that is found, the pixels that some other images have by chance as well.
_PART_OF_IT = 0.5


def positions(payload: Pixels) -> Levels:
    """The lightness at up to about 4,096 positions, ``(n, rows, columns)``."""
    step = _step(payload)
    grid = payload[:, ::step, ::step]
    if payload.shape[3] == 1:
        return grid[..., 0].astype(np.int16)
    lightness = np.empty(grid.shape[:3], np.int16)
    for span in blocks(grid):
        red, green, blue = np.moveaxis(grid[span].astype(np.int16), 3, 0)
        # With equal weights, red would equal blue.
        lightness[span] = (2 * red + 4 * green + blue) // 7
    return lightness


def _step(payload: Pixels) -> int:
    height, width = payload.shape[1:3]
    return max(1, int(np.ceil(np.sqrt(height * width / _POSITIONS))))


def class_mark(levels: Levels, labels: Labels) -> float:
    """How well the value of one pixel separates a class, at most 1.

    Args:
        levels: of the images, from `positions`.
        labels: ``(n,)``.
    """
    return max((float(apart.max()) for _, apart in _apart(levels, labels)), default=0.0)


def marks(payload: Pixels, labels: Labels) -> dict[Any, Flags]:
    """Where the images of some classes have a mark.

    Args:
        payload: uint8 ``(n, height, width, channels)``.
        labels: ``(n,)``.

    Returns:
        by label, bool ``(height, width)``, with a margin of a pixel.
    """
    from scipy.ndimage import binary_dilation

    step, (height, width) = _step(payload), payload.shape[1:3]
    marked = {}
    for label, apart in _apart(positions(payload), labels):
        if apart.max() > GIVEN_AWAY:
            whole = np.kron(apart >= _PART_OF_IT, np.ones((step, step), bool))
            wide = binary_dilation(whole[:height, :width], np.ones((3, 3)), step)
            marked[label] = np.asarray(wide, bool)
    return marked


def cover(payload: Pixels, mark: Flags, others: Pixels) -> Pixels:
    """Images with other images' pixels in the place of a mark.

    Args:
        payload, others: ``(n, height, width, channels)``.
        mark: bool ``(height, width)``.
    """
    return np.where(mark[:, :, None], others, payload)


def _apart(levels: Levels, labels: Labels) -> Iterator[tuple[Any, npt.NDArray[Any]]]:
    """How many more of a class than of all others have its usual value at each place.

    It is a share, and 0 where fewer than nearly all of the class have that value.
    """
    for label in dict.fromkeys(labels.tolist()):
        inside = labels == label
        rows = int(inside.sum())
        if min(rows, len(labels) - rows) < _FEWEST_IN_CLASS:
            continue  # before they are copied: each number is a label of its own
        own, others = levels[inside], levels[~inside]
        usual = np.median(own, axis=0).astype(np.int16)
        share = (np.abs(own - usual) <= _SAME).mean(axis=0)
        likely = share >= _IN_CLASS
        apart = np.zeros(usual.shape)
        if likely.any():
            theirs = (np.abs(others[:, likely] - usual[likely]) <= _SAME).mean(axis=0)
            apart[likely] = np.maximum(share[likely] - theirs, 0)
        yield label, apart
