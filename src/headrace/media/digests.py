"""The sha256 of decoded items, by which items are identified."""

from __future__ import annotations

import hashlib
import math

import numpy as np

from headrace.media import Medium
from headrace.media.forms import Payload


def digests(payload: Payload, module: Medium) -> bytes:
    """The sha256 of each decoded item ``(n, *shape)``, ``32 * n`` bytes.

    Padding is left out, so that an item's digest does not depend on the longest item.
    """
    width = math.prod(payload.shape[1:]) * payload.itemsize
    items = np.ascontiguousarray(payload).reshape(-1).view(np.uint8)
    ends = np.full(len(payload), width)
    if module.PADDED:
        ends = ends - (items.reshape(-1, width)[:, ::-1] != 0).argmax(axis=1)
        # argmax is 0 for zeros alone.
        ends[~items.reshape(-1, width).any(axis=1)] = 0
    flat = items.data
    starts = range(0, len(flat), width)
    return b"".join(
        [
            hashlib.sha256(flat[start : start + end]).digest()
            for start, end in zip(starts, ends.tolist(), strict=True)
        ]
    )
