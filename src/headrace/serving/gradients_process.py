"""The process of a `GradientsProcess`: it loads a version, and explains items."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.explanations import Explainer, Item
from headrace.imports.backend import load_backend
from headrace.media import medium
from headrace.media.forms import Payload
from headrace.models.engines.files import model_file
from headrace.models.logged.loading import answers, open_model
from headrace.settings import Settings
from headrace.state.frames import Answer, Header, answer_frames, packed, unpacked
from headrace.state.ledger.records import Version
from headrace.tasks import task


class ServedGradients:
    """Explains items with the Keras model of a version.

    Args:
        start: the first header: the version and the settings.

    Raises:
        IntegrityError: the version's file is gone or changed.
    """

    def __init__(self, start: Header) -> None:
        version = Version.model_validate(start["version"])
        settings = Settings.model_validate(start["settings"])
        self._data = version.description
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
        map_ = self._explainer.maps([item], "gradients")[0]
        return np.where(map_.present, map_.values, np.nan), map_.error


def _begin(start: Header) -> tuple[Answer, Header]:
    explain = ServedGradients(start)

    def answer(header: Header, body: bytearray) -> tuple[Header, Any]:
        values, error = explain(unpacked(header, body))
        header, values_body = packed(values)
        return {**header, "completeness_error": error}, values_body

    return answer, {"ready": True}


if __name__ == "__main__":
    answer_frames(_begin)
