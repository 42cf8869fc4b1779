"""What of an answer is explained: a number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from headrace.records import DataDescription

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from headrace.tasks.forms import Outputs


class Explained(Protocol):
    """What is explained of an answer, in tasks whose answers are explained.

    Attributes:
        UNIT: of that number, in words.
    """

    UNIT: str

    def names(self, data: DataDescription) -> Sequence[str]:
        """The possible answers in their order, such as classes; by default none."""
        return ()

    def chosen(self, outputs: Outputs) -> npt.NDArray[np.int32]:
        """Which of its possible answers the model gives, ``(n,)``; else zeros."""

    def numbers(
        self, outputs: Outputs, chosen: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.float64]:
        """The number that is explained, ``(n,)``: high where the model is for `chosen`.

        Args:
            outputs: of a model, ``(n, ...)``.
            chosen: answers, ``(n,)``.
        """

    def at_random(
        self,
        chosen: npt.NDArray[np.int32],
        data: DataDescription,
        random: np.random.Generator,
    ) -> npt.NDArray[np.int32]:
        """Answers to explain of models to which all answers mean the same, ``(n,)``.

        By default the given ones.
        """
        return chosen

    def words(self, output: Outputs, data: DataDescription) -> str:
        """One answer in words, with its probability where there is one."""
