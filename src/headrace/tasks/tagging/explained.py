"""What is explained of a tagging: the log-odds of one tag, by default the surest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.records import DataDescription
from headrace.tasks.forms import Outputs
from headrace.tasks.tagging.judge import answered, probabilities_of
from headrace.tasks.user_parts import Explained

_LEAST = 1e-7


class LogOddsOfATag(Explained):
    UNIT = "log-odds of the tag"

    def names(self, data: DataDescription) -> Sequence[str]:
        return list(data.tags)

    def chosen(self, outputs: Outputs) -> npt.NDArray[np.int32]:
        """The tag that is farthest above its threshold, or least below it."""
        own = probabilities_of(outputs)
        return np.asarray((own - outputs[:, own.shape[1] :]).argmax(axis=1), np.int32)

    def numbers(
        self, outputs: Outputs, chosen: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.float64]:
        """The log-odds of the chosen tags."""
        own = outputs[np.arange(len(outputs)), chosen].astype(np.float64)
        own = own.clip(_LEAST, 1 - _LEAST)
        return np.asarray(np.log(own / (1 - own)), np.float64)

    def tensor(self, outputs: Any, chosen: Any) -> Any:
        """The log-odds of the chosen tags."""
        from keras import ops

        is_chosen = ops.one_hot(chosen, outputs.shape[-1], dtype=outputs.dtype)
        own = ops.clip(ops.sum(outputs * is_chosen, axis=1), _LEAST, 1 - _LEAST)
        return ops.log(own) - ops.log(1 - own)

    def at_random(
        self,
        chosen: npt.NDArray[np.int32],
        data: DataDescription,
        random: np.random.Generator,
    ) -> npt.NDArray[np.int32]:
        return random.integers(len(data.tags), size=len(chosen), dtype=np.int32)

    def words(self, output: Outputs, data: DataDescription) -> str:
        """The tags and their probabilities."""
        own = probabilities_of(output[np.newaxis])[0]
        given = np.flatnonzero(answered(output[np.newaxis])[0])
        each = [f"{data.tags[n]} ({own[n]:.1%})" for n in given]
        return ", ".join(each) or "no tag"


PART = LogOddsOfATag()
