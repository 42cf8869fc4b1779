"""Integrated gradients for a server, which itself imports no TensorFlow.

They are computed in a process that starts with the first question, takes some seconds
for it, and ends after some quiet minutes.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from headrace.media.forms import Payload
from headrace.models.engines.frames import packed, unpacked
from headrace.state.framed import FramedProcess

if TYPE_CHECKING:
    from headrace.settings import Settings
    from headrace.state.ledger import Version

MODULE = "headrace.use.serving.gradients_process"
START_SECONDS = 120.0
ANSWER_SECONDS = 60.0
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
        self._process: FramedProcess | None = None
        self._quiet: threading.Timer | None = None

    def __call__(self, stored: Payload) -> tuple[npt.NDArray[np.float64], float]:
        """The map of an item; waits for it.

        Args:
            stored: the item as a snapshot has it, ``shape``.

        Returns:
            values ``(rows, columns)``, NaN where nothing is; and how far they are from
            adding up, a share.

        Raises:
            IntegrityError: the version's file is gone or changed.
            DependencyError: the process crashed, or did not answer in time.
        """
        with self._lock:
            self._stop_timer()
            if self._process is not None and self._process.failure:
                self._end()
            process = self._process or self._start()
            header, body = process.converse(
                *packed(stored), most_bytes=_MOST_BYTES, seconds=ANSWER_SECONDS
            )
            with process.reasons(ANSWER_SECONDS):
                values = unpacked(header, body).astype(np.float64)
                error = float(header["completeness_error"])
            self._quiet = threading.Timer(QUIET_SECONDS, self._end_quietly)
            self._quiet.daemon = True
            self._quiet.start()
        return values, error

    def _start(self) -> FramedProcess:
        name = f"process that explains {self._version}"
        self._process = FramedProcess(MODULE, name, niceness=NICENESS)
        header = {
            "version": self._version.model_dump(mode="json"),
            "settings": self._settings.for_child(),
        }
        try:
            self._process.converse(header, b"", most_bytes=0, seconds=START_SECONDS)
        except BaseException:
            self._end()
            raise
        return self._process

    def close(self) -> None:
        """End the process, if there is one, whatever it does."""
        if (process := self._process) is not None:
            process.fail("was closed")
        self._end_quietly()

    def _end_quietly(self) -> None:
        with self._lock:
            self._stop_timer()
            self._end()

    def _stop_timer(self) -> None:
        if self._quiet is not None:
            self._quiet.cancel()

    def _end(self) -> None:
        if self._process is not None:
            self._process.fail("was closed")
            self._process.close()
        self._process = None
