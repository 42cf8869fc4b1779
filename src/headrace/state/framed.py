"""A process that answers frame by frame, seen from the one that started it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from typing import Any

from headrace import errors
from headrace.errors import DependencyError
from headrace.state import children
from headrace.state.frames import Header, receive, send

_ENDING_SECONDS = 5.0  # in which a process that has closed its socket ends
_LAST_BYTES = 4096  # of its messages, in which the last line is looked for


class FramedProcess:
    """A process that runs `headrace.state.frames.answer_frames` on a socket.

    It ends with this process, however this one ends. One thread at a time talks to it;
    any may end it.

    Args:
        module: that it runs.
        name: in messages, such as ``keras process of digits version 1``.
        niceness: from its start on; above 0 where nobody waits for it.
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
        niceness: int = 0,
        **variables: str,
    ) -> None:
        self.name = name
        self.failure = ""
        self._connection, theirs = socket.socketpair()
        self._messages = tempfile.TemporaryFile("a+b")
        with theirs, contextlib.ExitStack() as failed:
            failed.callback(self.close)
            self._process = children.start(
                module,
                niceness=niceness,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=self._messages.fileno(),
                env={**os.environ, **variables},
                process_group=0,  # an interrupt is for this process alone
            )
            failed.pop_all()
        self.pid = self._process.pid

    def converse(
        self, header: Header, body: Any, *, most_bytes: int, seconds: float | None
    ) -> tuple[Header, bytearray]:
        """Send a frame and receive the answer.

        Args:
            header, body: of the frame.
            most_bytes: that the answer may have.
            seconds: until it must have come; None: it may take as long as it does.

        Raises:
            HeadraceError: of the kind that the process has reported.
            DependencyError: it has crashed, hangs, answers something else or has
                reported another error. Unless it has reported, it is ended.
        """
        with self.reasons(seconds):
            self._connection.settimeout(seconds)
            send(self._connection, header, body)
            header, body = receive(self._connection, most_bytes)
            self._connection.settimeout(None)
            if "error" not in header:
                return header, body
            kind = getattr(errors, str(header["error"]), None)
            message, action = str(header["message"]), str(header["action"])
        raise kind(message, action) if kind else self.error(f"failed: {message}")

    @property
    def code(self) -> int | None:
        """With which it ended; below 0: the signal. None while it runs."""
        return self._process.poll()

    def send(self, header: Header) -> None:
        """Send a frame that is not answered, or by `read`; raises OSError."""
        send(self._connection, header)

    def read(self) -> Header | None:
        """The next frame that it sends by itself; None once it has ended."""
        with contextlib.suppress(OSError, EOFError, ValueError):
            return receive(self._connection, 0)[0]
        return None

    @contextlib.contextmanager
    def reasons(self, seconds: float | None) -> Iterator[None]:
        """End it in a block that fails, and say why."""
        try:
            yield
        except TimeoutError:
            self.fail(f"did not answer within {seconds:g} s")
        except (EOFError, OSError):
            self.fail(self.ending())
        except (KeyError, TypeError, ValueError) as error:
            self.fail(f"sent something else than an answer: {error}")
        else:
            return
        raise self.error(self.failure)

    def ending(self) -> str:
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

    def close(self) -> None:
        """Close what is left after `fail`, once nobody talks to it."""
        self._connection.close()
        self._messages.close()

    def error(self, reason: str) -> DependencyError:
        """What is raised where it does not answer."""
        return DependencyError(
            f"The {self.name} {reason}.",
            "Run the same command again; with more memory, if it was killed.",
        )
