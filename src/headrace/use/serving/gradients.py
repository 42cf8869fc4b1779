"""Integrated gradients for a server, which itself imports no TensorFlow.

They are computed in a process that starts with the first question, takes some seconds
for it, and ends after some quiet minutes.
"""

from __future__ import annotations

import socket
import subprocess
import threading
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from headrace.errors import DependencyError
from headrace.media.forms import Payload
from headrace.models.engines.frames import packed, unpacked
from headrace.state import children
from headrace.state.frames import BrokenFrameError, receive, send

if TYPE_CHECKING:
    from headrace.settings import Settings
    from headrace.state.ledger import Version

MODULE = "headrace.use.serving.gradients_process"
ANSWER_SECONDS = 120.0  # the first answer waits for imports
QUIET_SECONDS = 600.0
NICENESS = 5  # answers come first
_MOST_BYTES = 2**24


class GradientsProcess:
    """Explains items by the gradients of a version, one after the other.

    Args:
        version: its row in the ledger.
        settings: where its files are.
    """

    def __init__(self, version: Version, settings: Settings) -> None:
        self._version, self._settings = version, settings
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._quiet: threading.Timer | None = None

    def __call__(self, stored: Payload) -> tuple[npt.NDArray[np.float64], float]:
        """The map of an item; waits for it.

        Args:
            stored: the item as a snapshot has it, ``shape``.

        Returns:
            values ``(rows, columns)``, NaN where nothing is; and how far they are from
            adding up, a share.

        Raises:
            DependencyError: the process crashed, or did not answer in time.
        """
        with self._lock:
            if self._quiet is not None:
                self._quiet.cancel()
            try:
                connection = self._connection or self._start()
                send(connection, *packed(stored))
                header, body = receive(connection, _MOST_BYTES, ANSWER_SECONDS)
                if "error" in header:
                    raise BrokenFrameError(str(header["message"]))
                values = unpacked(header, body).astype(np.float64)
                error = float(header["completeness_error"])
            except (OSError, EOFError, BrokenFrameError, KeyError) as problem:
                self._end()
                reason = str(problem) or "it has ended"
                raise DependencyError(
                    f"The process that explains {self._version} failed: {reason}.",
                    "Try again; with more memory, if it was killed.",
                ) from problem
            self._quiet = threading.Timer(QUIET_SECONDS, self.close)
            self._quiet.daemon = True
            self._quiet.start()
        return values, error

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        self._connection = ours
        with theirs:
            self._process = children.start(
                MODULE,
                niceness=NICENESS,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # an interrupt is for this process alone
            )
        header = {
            "version": self._version.model_dump(mode="json"),
            "settings": self._settings.for_child(),
        }
        send(ours, header)
        return ours

    def close(self) -> None:
        """End the process, if there is one; the next question starts another."""
        with self._lock:
            if self._quiet is not None:
                self._quiet.cancel()
            self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = None
