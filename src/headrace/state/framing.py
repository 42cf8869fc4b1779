"""The other end of a `FramedProcess`: it answers frames on its standard input."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
from collections.abc import Callable
from typing import Any, NoReturn

from headrace.errors import HeadraceError
from headrace.state.children import leave_signals
from headrace.state.frames import Header, receive, send

MOST_BYTES = 2**40  # the other process is trusted

Answer = Callable[[Header, bytearray], tuple[Header, Any]]


def answer_frames(begin: Callable[[Header], tuple[Answer, Header]]) -> NoReturn:
    """Begin as the first frame says, then answer frame by frame.

    The process ends when the other end of the socket is closed, whatever it does then.

    Args:
        begin: from the first header to what answers the others, and the first answer.
            If it raises, the error is reported and the process ends.
    """
    leave_signals()
    with socket.socket(fileno=0) as connection:
        watch = threading.Thread(target=_end_with, args=(connection,), daemon=True)
        watch.start()
        with contextlib.suppress(EOFError, OSError):
            _serve(connection, begin)
    os._exit(0)  # taking TensorFlow down would take long


def _serve(
    connection: socket.socket, begin: Callable[[Header], tuple[Answer, Header]]
) -> None:
    header, _ = receive(connection, MOST_BYTES)
    try:
        answer, figures = begin(header)
    except Exception as error:  # all of them are reported
        send(connection, _failure(error))
        return
    send(connection, figures)
    while True:
        header, body = receive(connection, MOST_BYTES)
        answered: Any = b""
        try:
            header, answered = answer(header, body)
        except Exception as error:
            header = _failure(error)
        send(connection, header, answered)


def _failure(error: Exception) -> Header:
    """An error as the header of a frame."""
    if isinstance(error, HeadraceError):
        kind, message = type(error).__name__, error.message
        return {"error": kind, "message": message, "action": error.action}
    reason = (str(error).strip().splitlines() or [""])[0][:300]
    return {"error": "", "message": f"{type(error).__name__}: {reason}", "action": ""}


def _end_with(connection: socket.socket) -> None:
    """End this process once the other end of a socket is closed."""
    poll = select.poll()
    poll.register(connection, 0)  # only hanging up is reported
    poll.poll()
    os._exit(0)
