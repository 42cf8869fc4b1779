"""The parts of a task that people ask and read, as protocols with defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from headrace.records import DataDescription, Metrics

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from headrace.media.forms import Payload
    from headrace.tasks.forms import (
        Figures,
        Outputs,
    )


class Questions(Protocol):
    """What a model is asked about a row. Without this part, that is the row's item.

    Attributes:
        DTYPE: of questions in stored form.
        CACHED: whether pre-processing is applied once, before training.
        OF_ITEMS: whether a question is made of an item alone, so that items without
            labels can be scored, monitored and served.
    """

    DTYPE: np.dtype[Any]
    CACHED: bool
    OF_ITEMS: bool = True

    def shape(self, data: DataDescription) -> tuple[int, ...]:
        """The shape of one question; by default that of an item."""
        return data.shape

    def of(
        self,
        items: Payload,
        labels: pa.ChunkedArray,
        groups: Sequence[str],
        data: DataDescription,
    ) -> Payload:
        """The questions of some rows in stored form, ``(n, *shape)``.

        Args:
            items: ``(n, *shape)``, of the medium's type.
            labels, groups: as in a snapshot, ``(n,)``.
            data: of the snapshot.
        """

    def raw(self, payload: Payload) -> Payload:
        """Questions as a saved model takes them."""

    def as_stored(self, items: Payload, data: DataDescription) -> Payload:
        """The reverse of `raw`."""

    def variants(self, payload: Payload) -> list[Payload]:
        """All types of input that a saved model takes."""

    def check_input(self, x: Any, data: DataDescription) -> Payload:
        """A user's input as a saved model takes it; InputError for any other."""

    def json_schema(self, data: DataDescription) -> dict[str, Any]:
        """The JSON schema of a question over HTTP, where it is not `OF_ITEMS`."""
        return {"type": "object"}


class Speech(Protocol):
    """Messages of several texts, of tasks that have ``SPEAKS``."""

    def questions(
        self, message: str, fields: Mapping[str, Any], data: DataDescription
    ) -> list[dict[str, Any]]:
        """The questions for a message, as `Questions.check_input` takes them.

        Args:
            message: known texts with blanks between them.
            fields: of all questions, such as the speaker.
            data: of the model.

        Raises:
            InputError: the message is empty, too long, or has an unknown text; or the
                seed is no whole number.
        """

    def joined(self, outputs: Outputs, data: DataDescription) -> Outputs:
        """Answers ``(n, samples)`` as one sound, ``(m,)``."""

    def file(self, sound: Outputs, data: DataDescription) -> bytes:
        """A sound as a WAV file."""


class Answers(Protocol):
    """Answers and metrics as people read them.

    Attributes:
        OUTPUT: the name of a model's output in a server, such as ``probabilities``.
        ARE_SUMS: whether outputs are sums over an item, of any size.
    """

    OUTPUT: str
    ARE_SUMS: bool = False

    def answers(self, outputs: Outputs, data: DataDescription) -> list[Any]:
        """The answer to each item, such as its label."""

    def join(self, outputs: Outputs, count: int = 1) -> Any:
        """One answer ``(...)`` of the answers to the parts of an item ``(parts, ...)``.

        It is called for tasks that have `JOINS_PARTS`; for all others there is one.

        Args:
            outputs: of the parts, in their order.
            count: the answer has the shape of one of so many parts at least.
        """
        return outputs[0]

    def json_writer(self, data: DataDescription) -> Callable[[Any], str]:
        """A function that writes one answer ``(...)`` as the members of a JSON object.

        It is called for each answer of a server, so it formats as little as it can. It
        raises FloatingPointError for an answer that is not finite.
        """

    def json_schema(self, data: DataDescription) -> dict[str, Any]:
        """The JSON schemas of these members, all of which are there, by name."""

    def answer_columns(
        self, outputs: Outputs, data: DataDescription
    ) -> dict[str, pa.Array]:
        """The columns that ``headrace score`` writes."""

    def known(self, label: str, data: DataDescription) -> bool:
        """Whether the name of a folder of items to score is a label."""

    def figures(self, metrics: Figures) -> str:
        """The metrics of a test split in one line."""

    def about(self, data: DataDescription) -> str:
        """What a model answers, for the model card."""

    def highlights(self, metrics: Metrics, slices: Mapping[str, Figures]) -> list[str]:
        """Lines on what the metrics of all rows hide, such as a rare class."""


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

    def tensor(self, outputs: Any, chosen: Any) -> Any:
        """The same of tensors, in `keras.ops`, float32 ``(n,)``."""

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
