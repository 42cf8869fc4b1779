"""What a task tells people: its answers and metrics, and what is in new data.

Protocols with defaults. ``words.py`` of a task has `ANSWERS` and `SURVEY`. No stage
that is kept depends on it, so that a change of words repeats none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from headrace.records import DataDescription, Finding, Metrics

if TYPE_CHECKING:
    import pyarrow as pa

    from headrace.tasks.forms import Counts, Figures, Outputs


class Answers(Protocol):
    """Answers and metrics as people read them.

    Attributes:
        OUTPUT: the name of a model's output in a server, such as ``probabilities``.
        METRICS: what each metric of a test split means, in a sentence, by its name. The
            ends of an interval, ``_low`` and ``_high``, need none.
    """

    OUTPUT: str
    METRICS: ClassVar[Mapping[str, str]] = MappingProxyType({})

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

    def answer_columns(
        self, outputs: Outputs, data: DataDescription
    ) -> dict[str, pa.Array]:
        """The columns that ``headrace score`` writes."""

    def is_label(self, label: str, data: DataDescription) -> bool:
        """Whether the name of a folder of items to score is a label."""

    def figures(self, metrics: Figures) -> str:
        """The metrics of a test split in one line."""

    def about(self, data: DataDescription) -> str:
        """What a model answers, for the model card."""

    def highlights(self, metrics: Metrics, slices: Mapping[str, Figures]) -> list[str]:
        """Lines on what the metrics of all rows hide, such as a rare class."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What `headrace new` finds out from the labels, and writes.

    Attributes:
        rows: usable ones of each split.
        fields: of ``[data]``, in their order.
        gates: the first tables of ``[[gates]]``.
        sentences: on the data and the gates, without capitals and full stops: for
            the terminal, the comments of the pipeline file, and the README.
        findings: warnings about the data.
        arguments: of the model, in place of the family's defaults.
        least_steps: of training, where the task needs more than the family.
        most_epochs: after which a network of the task knows the data by heart; 0: as
            many as few rows need.
        examples: of an epoch, where they are not the rows.
        class_rows: rows of train of each class or tag, for tasks that have these.
    """

    rows: dict[str, int]
    fields: dict[str, Any]
    gates: Sequence[dict[str, Any]]
    sentences: Sequence[str]
    findings: Sequence[Finding] = field(default_factory=list)
    arguments: dict[str, Any] = field(default_factory=dict)
    least_steps: int = 0
    most_epochs: int = 0
    examples: int = 0
    class_rows: Sequence[int] = ()


class Surveyor(Protocol):
    """What `headrace new` finds out.

    Attributes:
        SUMMARY: the first sentence of a pipeline's README.
        LIMITS: the first sentence on its model's limits.
    """

    SUMMARY: str
    LIMITS: str

    def survey(
        self, source: str, labels: Counts, items: int, rejected: Sequence[str]
    ) -> Survey:
        """Look at the labels. Raises Refusal where nothing can be learned.

        Args:
            source: of the data, for messages.
            labels: rows of each (split, label); train includes val.
            items: the number of different ones.
            rejected: the labels of rows that cannot be read.
        """

    def count_groups(
        self, survey: Survey, rows: Counter[tuple[str, str, str]]
    ) -> Survey:
        """The survey with what the groups say; by default they say nothing.

        Args:
            survey: of the labels.
            rows: of each (split, label, group); train includes val.
        """
        return survey

    def look(self, survey: Survey, items: Iterable[pa.ChunkedArray]) -> Survey:
        """The survey with what the items say; by default they say nothing.

        Args:
            survey: of the labels.
            items: of each shard as they are stored, without those of test; they are
                read when they are asked for.
        """
        return survey


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


def ranked(
    slices: Mapping[str, Figures], kind: str, by: str, *, falling: bool = False
) -> list[tuple[str, Figures]]:
    """The slices of a kind, such as ``tag``, with their names, by one of their figures.

    Args:
        slices: by names such as ``tag=red``.
        kind: of those that are meant.
        by: the figure; a missing one counts as 0.
        falling: whether the highest comes first.
    """
    own = [
        (name.removeprefix(f"{kind}="), figures)
        for name, figures in slices.items()
        if name.startswith(f"{kind}=")
    ]
    return sorted(own, key=lambda pair: pair[1][by] or 0, reverse=falling)
