"""Frames between processes of ours: a JSON header, and bytes.

A frame is the lengths of both, the header, and the bytes. Nothing in it is unpickled.
"""

from __future__ import annotations

import json
import math
import socket
import struct
import time
from typing import Any

_LENGTHS = struct.Struct("!IQ")
MOST_HEADER_BYTES = 2**22  # the record of a version is in one

Header = dict[str, Any]


class BrokenFrameError(Exception):
    """What was received is no frame, or not the one that was expected."""


def send(connection: socket.socket, header: Header, body: Any = b"") -> None:
    """Send a frame; raises OSError.

    Args:
        body: bytes, or what gives them as a buffer.
    """
    view = memoryview(body).cast("B") if len(body) else b""
    text = json.dumps(header).encode()
    connection.sendall(_LENGTHS.pack(len(text), len(view)) + text)
    if len(view):
        connection.sendall(view)


def receive(
    connection: socket.socket, most_bytes: int, seconds: float | None = None
) -> tuple[Header, bytearray]:
    """Receive a frame.

    Args:
        most_bytes: that its array may have.
        seconds: until when all of it must have come; None: as long as it takes.

    Raises:
        BrokenFrameError: it is no frame, or has more bytes.
        EOFError: the other process has closed the connection.
        TimeoutError: it did not come in time.
    """
    deadline = math.inf if seconds is None else time.monotonic() + seconds
    lengths = _receive(connection, _LENGTHS.size, deadline)
    header_bytes, body_bytes = _LENGTHS.unpack(lengths)
    if header_bytes > MOST_HEADER_BYTES or body_bytes > most_bytes:
        raise BrokenFrameError(f"a frame of {header_bytes} and {body_bytes} bytes")
    text = _receive(connection, header_bytes, deadline)
    try:
        header = json.loads(text)
    except ValueError as error:
        raise BrokenFrameError(f"a header that is no JSON: {error}") from error
    if not isinstance(header, dict):
        raise BrokenFrameError("a header that is no JSON object")
    return header, _receive(connection, body_bytes, deadline)


def _receive(connection: socket.socket, size: int, deadline: float) -> bytearray:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        left = None if deadline == math.inf else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        count = connection.recv_into(view)
        if not count:
            raise EOFError
        view = view[count:]
    connection.settimeout(None)
    return data
