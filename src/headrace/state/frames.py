"""Frames between processes of ours: a JSON header, and bytes.

A frame is the lengths of both, the header, and the bytes. Nothing in it is unpickled.
It is our own and not `multiprocessing.connection`'s, which waits for the rest of a
message without a limit, and copies it. `headrace.state.framed.FramedProcess` asks;
`answer_frames` is the other end.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import numpy as np
import numpy.typing as npt

from headrace.errors import HeadraceError
from headrace.state.children import end_with_parent, leave_signals

_LENGTHS = struct.Struct("!IQ")
MOST_HEADER_BYTES = 2**22  # the record of a version is in one

Header = dict[str, Any]
MOST_BYTES = 2**40  # where the other process is trusted

Answer = Callable[[Header, bytearray], tuple[Header, Any]]
T = TypeVar("T")
_TEXTS = "texts"


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
    connection: socket.socket, most_bytes: int = MOST_BYTES
) -> tuple[Header, bytearray]:
    """Receive a frame.

    Args:
        connection: its timeout is that of each part of a frame.
        most_bytes: that its array may have.

    Raises:
        ValueError: it is no frame, or has more bytes.
        EOFError: the other process has closed the connection.
        OSError: it is broken; a TimeoutError: nothing came in time.
    """
    lengths = _receive(connection, _LENGTHS.size)
    header_bytes, body_bytes = _LENGTHS.unpack(lengths)
    if header_bytes > MOST_HEADER_BYTES or body_bytes > most_bytes:
        raise ValueError(f"a frame of {header_bytes} and {body_bytes} bytes")
    header = json.loads(_receive(connection, header_bytes))
    if not isinstance(header, dict):
        raise ValueError("a header that is no JSON object")
    return header, _receive(connection, body_bytes)


def _receive(connection: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = connection.recv_into(view)
        if not count:
            raise EOFError
        view = view[count:]
    return data


def packed(items: npt.NDArray[Any]) -> tuple[Header, Any]:
    """The header and the bytes of items ``(n, ...)``."""
    if items.dtype == object:
        texts = [str(item) for item in items]
        return {"dtype": _TEXTS, "shape": [len(texts)]}, json.dumps(texts).encode()
    header = {"dtype": items.dtype.str, "shape": items.shape}
    return header, np.ascontiguousarray(items).data if items.size else b""


def unpacked(header: Header, body: bytearray) -> npt.NDArray[Any]:
    """The reverse of `packed`; raises KeyError, TypeError or ValueError."""
    shape = tuple(header["shape"])
    if header["dtype"] != _TEXTS:
        return np.frombuffer(body, np.dtype(header["dtype"])).reshape(shape)
    items = np.empty(shape, object)
    items[:] = json.loads(body)
    return items


def answer_frames(begin: Callable[[Header], tuple[Answer, Header]]) -> NoReturn:
    """Begin as the first frame says, then answer frame by frame.

    The process ends when the other end of the socket is closed, whatever it does then.

    Args:
        begin: from the first header to what answers the others, and the first answer.
            If it raises, the error is reported and the process ends.
    """
    leave_signals()
    end_with_parent()
    with (
        socket.socket(fileno=0) as connection,
        contextlib.suppress(EOFError, ConnectionError),
    ):
        answer = begun(connection, begin)
        while True:
            send(connection, *_answer(answer, *receive(connection)))
    os._exit(0)  # taking TensorFlow down would take long


def begun(connection: socket.socket, begin: Callable[[Header], tuple[T, Header]]) -> T:
    """What begins as the first frame says; see `answer_frames`."""
    header, _ = receive(connection)
    try:
        what, figures = begin(header)
    except Exception as error:  # all of them are reported
        send(connection, _failure(error))
        os._exit(1)
    send(connection, figures)
    return what


def _answer(answer: Answer, header: Header, body: bytearray) -> tuple[Header, Any]:
    try:
        return answer(header, body)
    except Exception as error:
        return _failure(error), b""


def _failure(error: Exception) -> Header:
    """An error as the header of a frame."""
    if isinstance(error, HeadraceError):
        kind, message = type(error).__name__, error.message
        return {"error": kind, "message": message, "action": error.action}
    reason = (str(error).strip().splitlines() or [""])[0][:300]
    return {"error": "", "message": f"{type(error).__name__}: {reason}", "action": ""}
