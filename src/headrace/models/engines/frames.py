"""Arrays in frames between a process and its engine."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from headrace.media.forms import Payload
from headrace.state.frames import BrokenFrameError, Header

_TEXTS = "texts"


def packed(items: Payload) -> tuple[Header, Any]:
    """The header and the bytes of items ``(n, ...)``."""
    if items.dtype == object:
        texts = [str(item) for item in items]
        return {"dtype": _TEXTS, "shape": [len(texts)]}, json.dumps(texts).encode()
    header = {"dtype": items.dtype.str, "shape": items.shape}
    return header, np.ascontiguousarray(items).data if items.size else b""


def unpacked(header: Header, body: bytearray) -> Payload:
    """The reverse of `packed`; raises BrokenFrameError."""
    try:
        shape = tuple(header["shape"])
        if header["dtype"] == _TEXTS:
            items = np.empty(shape, object)
            items[:] = json.loads(body)
            return items
        return np.frombuffer(body, np.dtype(header["dtype"])).reshape(shape)
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenFrameError(f"an array of another form: {error}") from error
