"""Integrated gradients for a server, which itself imports no TensorFlow.

They are computed in a process that starts with the first question and takes some
seconds for it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from headrace.errors import DependencyError
from headrace.media.forms import Payload
from headrace.state.frames import FramedProcess, packed, unpacked

if TYPE_CHECKING:
    from headrace.settings import Settings
    from headrace.state.ledger import Version

MODULE = "headrace.serving.gradients_process"
START_SECONDS = 120.0
ANSWER_SECONDS = 60.0
NICENESS = 5  # answers come first

Map = tuple[npt.NDArray[np.float64], float]


class GradientsProcess:
    """Explains items by the gradients of a version, one after the other.

    Threads may share it. If the process has failed, the next question starts another
    one. It ends with `close`, or with this process, however this one ends.

    Args:
        version: its row in the ledger.
        settings: where its files are.
    """

    def __init__(self, version: Version, settings: Settings) -> None:
        self._version, self._settings = version, settings
        self._lock = threading.Lock()
        self._process: FramedProcess | None = None
        self._is_closed = False

    def __call__(self, stored: Payload) -> Map:
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
            process = self._started()
            header, body = process.converse(*packed(stored), seconds=ANSWER_SECONDS)
            values = unpacked(header, body).astype(np.float64)
            return values, header["completeness_error"]

    def _started(self) -> FramedProcess:
        """The process, ready to answer."""
        if self._process is not None and not self._process.failure:
            return self._process
        self._end()
        name = f"process that explains {self._version}"
        if self._is_closed:
            raise DependencyError(f"The {name} was closed.")
        order = {
            "version": self._version.model_dump(mode="json"),
            "settings": self._settings.for_child(),
        }
        self._process = FramedProcess(MODULE, name, niceness=NICENESS)
        try:
            self._process.converse(order, seconds=START_SECONDS)
        except BaseException:
            self._end()
            raise
        return self._process

    def close(self) -> None:
        """End the process, if there is one, whatever it does; no other is started."""
        self._is_closed = True
        if (process := self._process) is not None:
            process.fail("was closed")  # wakes who waits for it
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.close()
        self._process = None
