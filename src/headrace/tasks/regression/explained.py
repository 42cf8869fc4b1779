"""What is explained of a regression: the number that it gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.records import DataDescription
from headrace.tasks.forms import Outputs
from headrace.tasks.user_parts import Explained


class TheNumber(Explained):
    UNIT = "the number, in its unit"

    def chosen(self, outputs: Outputs) -> npt.NDArray[np.int32]:
        """Zeros: there is one answer."""
        return np.zeros(len(outputs), np.int32)

    def numbers(
        self, outputs: Outputs, chosen: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.float64]:
        return np.array(outputs[:, 0], np.float64)

    def tensor(self, outputs: Any, chosen: Any) -> Any:
        return outputs[:, 0]

    def words(self, output: Outputs, data: DataDescription) -> str:
        return f"{float(output[0]):.4g}"


PART = TheNumber()
