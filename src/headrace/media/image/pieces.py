"""The patches of an image, and maps drawn over it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.media.forms import Pieces, Removal
from headrace.media.image.pixels import Pixels
from headrace.records import DataDescription

SIDE = 7  # patches in a row and in a column, at most
_STRONGEST = 0.85  # opacity of the strongest value of a map


def _background(item: Pixels) -> Pixels:
    """An image of one colour: the median of the border."""
    edge = np.concatenate([item[0], item[-1], item[:, 0], item[:, -1]])
    return np.broadcast_to(np.median(edge, axis=0).astype(np.uint8), item.shape)


def pieces(item: Pixels, data: DataDescription) -> Pieces:
    """The patches of an image ``(height, width, channels)``.

    A patch that is all background is not present. A removed patch becomes background.
    """
    height, width = item.shape[:2]
    rows, columns = _bounds(height), _bounds(width)
    places = [
        (slice(*down), slice(*across))
        for down in itertools.pairwise(rows)
        for across in itertools.pairwise(columns)
    ]
    background = _background(item)
    differs = (item != background).any(axis=2)

    def without(removals: Sequence[Removal]) -> Pixels:
        images = np.repeat(item[np.newaxis], len(removals), axis=0)
        for image, removal in zip(images, removals, strict=True):
            for number in removal:
                image[places[number]] = background[places[number]]
        return images

    return Pieces(
        names=[
            f"rows {down.start + 1} to {down.stop}, "
            f"columns {across.start + 1} to {across.stop}"
            for down, across in places
        ],
        shape=(len(rows) - 1, len(columns) - 1),
        present=np.array([differs[place].any() for place in places]),
        without=without,
    )


def _bounds(size: int) -> list[int]:
    """The first pixel of each patch along a side, and the side; of about one size."""
    count = math.ceil(size / math.ceil(size / SIDE))
    return [math.ceil(x - 0.5) for x in np.linspace(0, size, count + 1).tolist()]


def draw_map(
    axes: Any, item: Pixels, values: npt.NDArray[Any], data: DataDescription
) -> None:
    """Draw an image in pale grey, and the map of its patches over it."""
    height, width = item.shape[:2]
    grey = item.mean(axis=2)
    axes.axis("off")
    options = {"extent": (0, width, height, 0), "interpolation": "nearest"}
    axes.imshow(grey, cmap="gray", vmin=-255, vmax=510, **options)
    limit = float(np.abs(values).max()) or 1.0
    opacity = _STRONGEST * np.abs(values) / limit
    colours = {"cmap": "bwr", "vmin": -limit, "vmax": limit}
    axes.imshow(values, alpha=opacity, **colours, **options)
