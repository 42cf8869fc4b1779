"""Frames between processes of ours: a JSON header, and bytes.

A frame is the lengths of both, the header, and the bytes. Nothing in it is unpickled.
It is our own and not `multiprocessing.connection`'s, which waits for the rest of a
message without a limit, and copies it. `FramedProcess` asks; `answer_frames` is the
other end.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NoReturn, TypeVar

import numpy as np
import numpy.typing as npt

from headrace import errors
from headrace.errors import DependencyError, HeadraceError
from headrace.state import children

_LENGTHS = struct.Struct("!IQ")
_ENDING_SECONDS = 5.0  # in which a process that has closed its socket ends
_LAST_BYTES = 4096  # of its messages, in which the last line is looked for
_TEXTS = "texts"

Header = dict[str, Any]
Answer = Callable[[Header, bytearray], tuple[Header, Any]]
T = TypeVar("T")


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


def receive(connection: socket.socket) -> tuple[Header, bytearray]:
    """Receive a frame; the connection's timeout is that of each part of it.

    Raises:
        EOFError: the other process has closed the connection.
        OSError: it is broken; a TimeoutError: nothing came in time.
    """
    header_bytes, body_bytes = _LENGTHS.unpack(_receive(connection, _LENGTHS.size))
    header: Header = json.loads(_receive(connection, header_bytes))
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
    """The reverse of `packed`."""
    shape = tuple(header["shape"])
    if header["dtype"] != _TEXTS:
        return np.frombuffer(body, np.dtype(header["dtype"])).reshape(shape)
    items = np.empty(shape, object)
    items[:] = json.loads(body)
    return items


class FramedProcess:
    """A process that runs `answer_frames` on a socket.

    It ends with this process, however this one ends. One thread at a time asks it, and
    one receives its answers; any may end it.

    Args:
        module: that it runs.
        name: in messages, such as ``keras process of digits version 1``.
        fork: done by a fork of this process, in place of the module; see
            `children.fork`.
        niceness: of a module, from its start on; above 0 where nobody waits for it.
        variables: of its environment, beside those of this process.

    Attributes:
        pid: of the process.
        failure: why it answers no more; empty while it does.

    Raises:
        OSError: there are too many processes, or there is too little memory.
    """

    def __init__(
        self,
        module: str,
        name: str,
        *,
        fork: Callable[[], None] | None = None,
        niceness: int = 0,
        **variables: str,
    ) -> None:
        self.name = name
        self.failure = ""
        start = partial(children.start, module, niceness=niceness)
        if fork is not None:
            start = partial(children.fork, module.rpartition(".")[2], fork)
        self._connection, theirs = socket.socketpair()
        self._messages = tempfile.TemporaryFile("a+b")
        with theirs:
            self._process: subprocess.Popen[bytes] = start(
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=self._messages.fileno(),
                env={**os.environ, **variables},
                process_group=0,  # an interrupt is for this process alone
            )
        self.pid = self._process.pid

    @property
    def code(self) -> int | None:
        """With which it ended; below 0: the signal. None while it runs."""
        return self._process.poll()

    def converse(
        self, header: Header, body: Any = b"", *, seconds: float
    ) -> tuple[Header, bytearray]:
        """Send a frame and receive the answer; see `ask` and `answer`."""
        self.ask(header, body, seconds)
        return self.answer(seconds)

    def ask(
        self, header: Header, body: Any = b"", seconds: float | None = None
    ) -> None:
        """Send a frame; raises DependencyError, and ends it, if that fails.

        Args:
            header, body: of the frame.
            seconds: in which it must be taken; None: it may take as long as it does.
        """
        with self._ending_it(seconds):
            self._connection.settimeout(seconds)
            send(self._connection, header, body)

    def answer(self, seconds: float | None = None) -> tuple[Header, bytearray]:
        """Receive a frame.

        Args:
            seconds: until it must have come; None: it may take as long as it does.

        Raises:
            HeadraceError: of the kind that the process has reported.
            DependencyError: it has crashed, hangs or has reported another error.
                Unless it has reported, it is ended.
        """
        with self._ending_it(seconds):
            self._connection.settimeout(seconds)
            header, body = receive(self._connection)
        if "error" not in header:
            return header, body
        kind = getattr(errors, header["error"], None)
        message = header["message"]
        raise (
            kind(message, header["action"])
            if kind
            else self.error(f"failed: {message}")
        )

    @contextlib.contextmanager
    def _ending_it(self, seconds: float | None) -> Iterator[None]:
        """End it in a block that fails, and say why."""
        try:
            yield
        except TimeoutError:
            self.fail(f"did not answer within {seconds:g} s")
        except (EOFError, OSError):
            self.fail(self._ending())
        else:
            return
        raise self.error(self.failure)

    def _ending(self) -> str:
        """How the process ended, and the last line of its messages."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDING_SECONDS)
        with contextlib.suppress(ValueError):  # it was closed meanwhile
            end = self._messages.seek(0, os.SEEK_END)
            self._messages.seek(max(0, end - _LAST_BYTES))
            return children.ending(self._process.returncode, self._messages.read())
        return children.ending(self._process.returncode, b"")

    def fail(self, reason: str) -> None:
        """End it; the first reason is kept as its `failure`."""
        self.failure = self.failure or reason
        self._process.kill()
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)  # wakes who waits for it
        self._process.wait()

    def close(self, reason: str = "was closed") -> None:
        """End it once nobody talks to it, and close what is left."""
        self.fail(reason)
        self._connection.close()
        self._messages.close()

    def error(self, reason: str) -> DependencyError:
        """What is raised where it does not answer."""
        return DependencyError(
            f"The {self.name} {reason}.",
            "Run the same command again; with more memory, if it was killed.",
        )


def answer_frames(begin: Callable[[Header], tuple[Answer, Header]]) -> NoReturn:
    """Begin as the first frame says, then answer frame by frame.

    The process ends when the other end of the socket is closed, whatever it does then.

    Args:
        begin: from the first header to what answers the others, and the first answer.
            If it raises, the error is reported and the process ends.
    """
    children.leave_signals()
    children.end_with_parent()
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
