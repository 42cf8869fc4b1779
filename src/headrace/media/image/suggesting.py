"""Whether `headrace new` lets images be resized, and to which shape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from headrace.media.chunks import Chunk
from headrace.media.image.files import decode_files, header_of
from headrace.media.image.form import FILTER
from headrace.media.image.resizing import Sides
from headrace.records import Form

# A data set of one such size was prepared for a network, and stays as it is.
_PREPARED_PIXELS = 256 * 256
_SAME = 0.95  # the share that has it; a run sets aside up to 5 %
_STEP, _SMALLEST, _LARGEST = 32, 64, 224  # of the side of the shape
# Of an image of 4 : 3, a crop to a square leaves 75 %. Of one beyond 1.4, under 71 %.
_LONGEST, _MOST = 1.4, 0.9
# The first images, and one in so many others, are decoded to see whether they are grey.
_FIRST, _ONE_IN = 64, 16
_THUMBNAIL = Form(shape=(64, 64, 3), options={"resize": "crop", "filter": FILTER})


def suggest(chunks: Iterable[Chunk]) -> dict[str, Any]:
    """The fields ``shape`` and ``resize`` for files of many sizes, or of a large one.

    The shape is a square: the median of the shorter sides, rounded down to a multiple
    of 32, from 64 to 224; in the channels of most images. Images are cropped where
    nine of ten are at most 1.4 times as long as wide, else padded. Arrays have one
    size, as do files that were prepared for a network: they keep it.
    """
    sizes, channels = Counter[Sides](), Counter[int]()
    for chunk in chunks:
        if not isinstance(chunk.items, list):
            return {}
        some: list[bytes] = []
        for data in chunk.items:
            header = header_of(data)
            if header is None or not min(header.sides):
                continue
            count = sizes.total()
            sizes[header.sides] += 1
            if count < _FIRST or count % _ONE_IN == 0:
                some.append(data)
        if not _is_prepared(sizes):
            for stack in decode_files(some, _THUMBNAIL).stacks:
                channels[stack.payload.shape[-1]] += len(stack.places)
    if _is_prepared(sizes):
        return {}
    sides = np.repeat(np.array([*sizes]), [*sizes.values()], axis=0)
    shorter, longer = sides.min(axis=1), sides.max(axis=1)
    side = int(np.median(shorter)) // _STEP * _STEP
    side = min(max(side, _SMALLEST), _LARGEST)
    most = channels.most_common(1)[0][0] if channels else 3
    is_alike = (longer <= _LONGEST * shorter).mean() >= _MOST
    return {"shape": (side, side, most), "resize": "crop" if is_alike else "pad"}


def _is_prepared(sizes: Counter[Sides]) -> bool:
    """Whether nearly all have one size, a small one; true of none at all."""
    if not sizes:
        return True
    (sides, count), *_ = sizes.most_common(1)
    is_small = sides.height * sides.width <= _PREPARED_PIXELS
    return is_small and count >= _SAME * sizes.total()
