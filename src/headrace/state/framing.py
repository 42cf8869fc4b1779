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
END: Header = {"ends": True}  # what is asked last, see `answer_frames`

Answer = Callable[[Header, bytearray], tuple[Header, Any]]


def answer_frames(
    begin: Callable[[Header], tuple[Answer, Header]], *, finishes: bool = False
) -> NoReturn:
    """Begin as the first frame says, then answer frame by frame.

    The process ends when the other end of the socket is closed, whatever it does then.

    Args:
        begin: from the first header to what answers the others, and the first answer.
            If it raises, the error is reported and the process ends.
        finishes: whether it first answers what it was asked, and then `END`, however
            the other process ended.
    """
    leave_signals()
    with socket.socket(fileno=0) as connection:
        if not finishes:
            watch = threading.Thread(target=_end_with, args=(connection,), daemon=True)
            watch.start()
        with contextlib.suppress(EOFError, OSError):
            _serve(connection, begin, finishes)
    os._exit(0)  # taking TensorFlow down would take long


def _serve(
    connection: socket.socket,
    begin: Callable[[Header], tuple[Answer, Header]],
    finishes: bool,
) -> None:
    header, _ = receive(connection, MOST_BYTES)
    try:
        answer, figures = begin(header)
    except Exception as error:  # all of them are reported
        send(connection, _failure(error))
        return
    send(connection, figures)
    while True:
        try:
            asked = receive(connection, MOST_BYTES)
        except (EOFError, OSError):
            if finishes:
                send(connection, *_answer(answer, END, bytearray()))
            return
        send(connection, *_answer(answer, *asked))


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


def _end_with(connection: socket.socket) -> None:
    """End this process once the other end of a socket is closed."""
    poll = select.poll()
    poll.register(connection, 0)  # only hanging up is reported
    poll.poll()
    os._exit(0)
