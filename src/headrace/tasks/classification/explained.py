"""What is explained of a classification: the log-odds of the label that it gives.

Log-odds are the logarithm of the label's probability divided by that of all others.
Near 0 and 1 a probability hardly changes, whatever is removed from an item.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.records import DataDescription
from headrace.tasks.forms import Outputs
from headrace.tasks.user_parts import Explained

_LEAST = 1e-30  # a probability whose logarithm is finite


class LogOdds(Explained):
    UNIT = "log-odds of the label"

    def names(self, data: DataDescription) -> Sequence[str]:
        return list(data.classes)

    def chosen(self, outputs: Outputs) -> npt.NDArray[np.int32]:
        return np.asarray(outputs.argmax(axis=1), np.int32)

    def numbers(
        self, outputs: Outputs, chosen: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.float64]:
        """The log-odds of the chosen classes."""
        probabilities = np.array(outputs, np.float64)
        rows = np.arange(len(probabilities))
        own = probabilities[rows, chosen]
        probabilities[rows, chosen] = 0.0
        others = probabilities.sum(axis=1)
        odds = np.maximum(own, _LEAST) / np.maximum(others, _LEAST)
        return np.asarray(np.log(odds), np.float64)

    def tensor(self, outputs: Any, chosen: Any) -> Any:
        """The log-odds of the chosen classes."""
        from keras import ops

        is_chosen = ops.one_hot(chosen, outputs.shape[-1], dtype=outputs.dtype)
        own = ops.sum(outputs * is_chosen, axis=1)
        others = ops.sum(outputs * (1 - is_chosen), axis=1)
        return ops.log(ops.maximum(own, _LEAST)) - ops.log(ops.maximum(others, _LEAST))

    def at_random(
        self,
        chosen: npt.NDArray[np.int32],
        data: DataDescription,
        random: np.random.Generator,
    ) -> npt.NDArray[np.int32]:
        """Classes at random; the given ones of two, since the other is the opposite."""
        count = len(data.classes)
        if count < 3:
            return chosen
        return random.integers(count, size=len(chosen), dtype=np.int32)

    def words(self, output: Outputs, data: DataDescription) -> str:
        """The label and its probability."""
        likeliest = int(output.argmax())
        return f"{data.classes[likeliest]} ({output[likeliest]:.1%})"


PART = LogOdds()
