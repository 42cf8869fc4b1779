"""The digest by which an item is known."""

from __future__ import annotations

import hashlib
import math

import numpy as np

from headrace.media.arrow import lengths
from headrace.media.forms import Payload
from headrace.media.interface import Medium


def digests(payload: Payload, module: Medium) -> bytes:
    """The sha256 of each decoded item ``(n, *shape)``, ``32 * n`` bytes.

    Padding is left out, so that an item's digest does not depend on the longest item.
    """
    width = math.prod(payload.shape[1:]) * payload.itemsize
    items = np.ascontiguousarray(payload).reshape(-1).view(np.uint8)
    ends = np.full(len(payload), width)
    if module.PADDED:
        ends = lengths(items.reshape(-1, width))
    flat = items.data
    spans = zip(range(0, len(flat), width), ends.tolist(), strict=True)
    return b"".join(
        [hashlib.sha256(flat[start : start + end]).digest() for start, end in spans]
    )
