"""The process of a `Gradients`: it explains items on its standard input, a socket.

It ends when the other end of the socket is closed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.backend import load_backend
from headrace.explanations import Explainer, Item
from headrace.media import medium
from headrace.media.forms import Payload
from headrace.models.engines.answering import MOST_BYTES, end_with_parent, failure
from headrace.models.engines.files import model_file
from headrace.models.engines.frames import packed, unpacked
from headrace.models.logged.loading import answers, open_model
from headrace.records import DataDescription
from headrace.settings import Settings
from headrace.state.frames import Header, receive, send
from headrace.state.ledger.rows import Version
from headrace.tasks import task


class Gradients:
    """Explains items with the Keras model of a version.

    Args:
        start: the first header: the version and the settings.

    Raises:
        IntegrityError: the version's file is gone or changed.
    """

    def __init__(self, start: Header) -> None:
        version = Version.model_validate(start["version"])
        settings = Settings.model_validate(start["settings"])
        self._data = DataDescription.model_validate(version.details["description"])
        load_backend(minimal=True, threads=1)
        with model_file(version, settings) as path:
            self._model = open_model(path, version.model_uri, self._data).model
        self._explainer = Explainer(self._model, self._data)

    def __call__(self, stored: Payload) -> tuple[npt.NDArray[np.float64], float]:
        """The map of an item ``shape``, NaN where nothing is, and its error."""
        data = self._data
        outputs = answers(self._model, medium(data.medium).raw(stored[np.newaxis]))
        chosen = int(task(data.task).explained.chosen(outputs)[0])
        item = Item.of(stored, chosen, data)
        found = self._explainer.maps([item], "gradients")[0]
        return np.where(found.present, found.values, np.nan), found.error


def main() -> None:
    """Load the version that the first frame names, then explain frame by frame."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the other process decides
        signal.signal(number, signal.SIG_IGN)
    with socket.socket(fileno=0) as connection:
        arguments = (connection,)
        threading.Thread(target=end_with_parent, args=arguments, daemon=True).start()
        with contextlib.suppress(EOFError, OSError):
            _serve(connection)
    os._exit(0)  # taking TensorFlow down would take long


def _serve(connection: socket.socket) -> None:
    start, _ = receive(connection, MOST_BYTES)
    explain: Gradients | None = None
    while True:
        request, body = receive(connection, MOST_BYTES)
        answer: Any = b""
        try:
            explain = explain or Gradients(start)
            values, error = explain(unpacked(request, body))
            header, answer = packed(values)
            header["completeness_error"] = error
        except Exception as problem:  # all of them are reported
            header = failure(problem)
        send(connection, header, answer)


if __name__ == "__main__":
    main()
