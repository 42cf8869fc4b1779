"""The parts of a task, as protocols with the defaults that most tasks share."""

from __future__ import annotations

from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from headrace.records import DataDescription, Finding, Metrics
from headrace.spec import DataSpec, EvaluationSpec, PipelineSpec, TrainingSpec

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from headrace.media.chunks import Chunk, Source
    from headrace.media.forms import Expectation, Payload
    from headrace.tasks.forms import (
        Column,
        Context,
        Counts,
        Example,
        Figures,
        Fitting,
        Judged,
        Lazy,
        Outputs,
        Rated,
        Scores,
        Survey,
        Suspect,
        Targets,
    )


class Labels(Protocol):
    """How targets are read and stored, and how a network takes them.

    Attributes:
        STRATIFIED: whether each split gets its share of the rows of each label, where
            the data comes without splits.
        GROUPS_APART: whether all rows of a group go to one split there. Else a model
            can only answer for groups that it has learned from, such as voices.
        DTYPE: of targets in memory.
    """

    STRATIFIED: bool
    GROUPS_APART: bool = True
    DTYPE: str

    def read(self, chunks: Iterator[Chunk], source: Source) -> Iterator[Chunk]:
        """Chunks with labels in the form in which they are stored.

        Notes and findings on labels are added to the source after the last chunk.
        Raises SourceError where an array or a column cannot hold targets.
        """

    def sketch(self, labels: Collection[str]) -> frozenset[str]:
        """A subset for which `describe` and `covers` give the same as for all."""

    def describe(self, labels: Iterable[str], data: DataSpec) -> dict[str, Any]:
        """``description.target``: the facts on targets that a network needs, JSON."""
        return {}

    def describe_groups(self, groups: Iterable[str], data: DataSpec) -> dict[str, Any]:
        """More facts for ``description.target``, of the groups of all rows."""
        return {}

    def covers(self, train: Collection[str], val: Collection[str]) -> bool:
        """Whether the labels of val can stand for those of train in a test split."""

    def encode(self, labels: pa.ChunkedArray, data: DataDescription) -> Targets:
        """Labels as a network takes them, ``(n, *target_shape)``."""

    def targets(
        self,
        items: Payload,
        labels: pa.ChunkedArray,
        groups: Sequence[str],
        data: DataDescription,
    ) -> Targets:
        """Targets of rows of a snapshot, ``(n, *target_shape)``; by default `encode`.

        Args:
            items: ``(n, *shape)``, of the medium's type.
            labels, groups: ``(n,)``.
            data: of the snapshot.
        """
        return self.encode(labels, data)

    def target_shape(self, data: DataDescription) -> tuple[int, ...]:
        """The shape of one target."""
        return ()


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
            InputError: the message is empty, too long, or has an unknown text.
        """

    def joined(self, outputs: Outputs, data: DataDescription) -> Outputs:
        """Answers ``(n, samples)`` as one sound, ``(m,)``."""

    def file(self, sound: Outputs, data: DataDescription) -> bytes:
        """A sound as a WAV file."""


class Contract(Protocol):
    """What the contract expects of targets, and the messages where that fails.

    Attributes:
        COLUMNS: the names of `columns`.
        SHARED: whether a test row half of which is in train is set aside, if the medium
            knows the passages of an item.
    """

    COLUMNS: Sequence[str]
    SHARED: bool = False

    def expectations(self, data: DataDescription) -> list[Expectation]:
        """What is expected of ``label`` and of `columns`."""

    def columns(
        self, split: Column, label: Column, counts: Counts, data: DataDescription
    ) -> dict[str, Any]:
        """Columns that the contract can name, ``(n,)`` each.

        Args:
            split, label: of some rows.
            counts: all rows of each split and stratum.
            data: of the data set.
        """

    def problem(
        self, check: str, split: str, counts: Counts, data: DataDescription
    ) -> str:
        """Why a failed check of this task refuses the data; empty for others'."""

    def lacking(self, counts: Counts, data: DataDescription) -> list[str]:
        """What a data set with these counts lacks, in words."""

    def warning(
        self, check: str, counts: Counts, data: DataDescription
    ) -> tuple[int, str] | None:
        """The number of strata of a warning, and its text; None for others' checks."""
        return None


class Head(Protocol):
    """The last layers of a network, the loss, and checks of both.

    Attributes:
        HAS_EXAMPLES: whether the network is fitted to `examples`; else it is fitted to
            the pre-processing of the questions, and to the targets.
    """

    HAS_EXAMPLES: bool = False

    def output_shape(self, data: DataDescription) -> tuple[int, ...]:
        """The shape of one answer; -1 where it is not known beforehand."""

    def head(
        self, data: DataDescription, targets: Lazy, options: Mapping[str, Any]
    ) -> list[Any]:
        """The Keras layers that follow the body of a family.

        Args:
            data: of the snapshot.
            targets: reads a sample of the targets of train.
            options: ``HEAD`` of the family, for the layer with the weights.
        """

    def examples(self, part: Example, fitting: Fitting) -> tuple[Payload, Payload]:
        """What the network is fitted to, and its targets, ``(k, ...)`` each.

        Args:
            part: rows of one shard.
            fitting: the network and what is known of the data.
        """
        raise TypeError(f"{type(self).__name__} has no examples of its own")

    def planted(self, fitting: Fitting) -> tuple[Payload, Payload] | None:
        """Examples of no row, which the network is fitted to as well; None: none."""
        return None

    def compose(self, preprocessing: Any, network: Any, data: DataDescription) -> Any:
        """The Keras model that is saved, from raw questions to answers ``(n, ...)``."""
        import keras

        first = preprocessing.inputs[0]
        raw = keras.Input(first.shape[1:], dtype=first.dtype, name=data.medium)
        return keras.Model(raw, network(preprocessing(raw)), name="model")

    def check_network(self, network: Any, data: DataDescription, builder: str) -> None:
        """Raise SpecError for a network whose outputs do not suit the task."""

    def check_training(self, network: Any, training: TrainingSpec) -> None:
        """Raise SpecError for a recipe that does not suit the network."""

    def losses(
        self, network: Any, targets: Any, outputs: Any, training: TrainingSpec
    ) -> Any:
        """The loss of each row of a batch, a tensor ``(batch,)``."""

    def training_scores(self, targets: Any, outputs: Any) -> Any:
        """The training score of each row of a batch, a float32 tensor ``(batch,)``."""

    def finish(
        self, network: Any, outputs: Lazy, targets: Targets, training: TrainingSpec
    ) -> Metrics:
        """Adjust a fitted network on the validation rows, such as by calibration.

        Args:
            network: the fitted one.
            outputs: computes its answers to the validation rows.
            targets: of these rows; there may be none.
            training: the recipe.

        Returns:
            metrics to record.
        """
        return {}

    def validation_metrics(
        self, network: Any, outputs: Outputs, targets: Targets
    ) -> Metrics:
        """``val_loss``, by which an epoch is chosen, and that of the training score."""


class Judge(Protocol):
    """Scores, metrics and pictures of answers.

    Attributes:
        IS_ALONE: whether scores need no `prepared` judge, as monitoring has none.
    """

    IS_ALONE: bool = True

    def prepared(self, context: Context) -> Judge:
        """A judge of the answers of one model, with what it needs besides them.

        That is for example a baseline that is fitted to the same rows. It is called
        once in an evaluation; its result is asked for scores, metrics and pictures.
        """
        return self

    def scores(self, outputs: Outputs, targets: Targets) -> Scores:
        """One score a row ``(n,)``: bool where an answer is right or wrong.

        Where the score of many rows is a ratio of sums, these are the numerators.
        """

    def weights(self, outputs: Outputs, targets: Targets) -> Scores | None:
        """The denominators of the scores, ``(n,)``; None where all are 1.

        They depend on the rows alone, and not on the model.
        """
        return None

    def metrics(
        self,
        outputs: Outputs,
        targets: Targets,
        data: DataDescription,
        evaluation: EvaluationSpec,
    ) -> tuple[Metrics, dict[str, Metrics]]:
        """Metrics of the test split, and of its slices by name."""

    def summary(
        self, scores: Scores, confidence: float, weights: Scores | None = None
    ) -> Metrics:
        """``<SCORE>`` of some rows, with the bounds of its interval."""

    def rate(
        self, name: str, outputs: Outputs, targets: Targets, data: DataDescription
    ) -> Rated | None:
        """A rate that groups can be compared by beside the score, such as a recall.

        Args:
            name: such as ``class=spam/recall``.
            outputs, targets: ``(n, ...)``.
            data: of the snapshot.

        Returns:
            its rows; None where the task has no such rate.
        """
        return None

    def badness(self, outputs: Outputs, targets: Targets) -> Any:
        """How bad each answer is, float ``(n,)``; 0 or less is not shown."""

    def caption(self, output: Any, target: Any, data: DataDescription) -> str:
        """The caption of a bad answer, one or two lines."""

    def suspects(self, parts: Iterable[Judged], data: DataDescription) -> list[Suspect]:
        """Rows whose label is more likely wrong than right, worst first.

        Args:
            parts: rows of some splits, one split after the other.
            data: of the snapshot.
        """
        return []

    def few_rows(
        self, spec: PipelineSpec, targets: Targets, val_rows: int
    ) -> list[Finding]:
        """Decisions of the spec that rest on too few rows."""

    def monitored(self, outputs: Outputs, data: DataDescription) -> dict[str, Any]:
        """Numbers of each answer whose distribution is monitored, ``(n,)`` each."""
        flat = outputs.reshape(len(outputs), -1).astype("float64")
        return {f"output {index}": flat[:, index] for index in range(flat.shape[1])}

    def choices(self, outputs: Outputs) -> Any:
        """Which of a few answers each is, int ``(n,)``; None where they are many."""
        return None

    def temperature(self, outputs: Outputs, targets: Targets) -> float | None:
        """The argument of `calibrated`, fitted on held-out rows.

        It is None where no score can be expected without labels.
        """
        return None

    def calibrated(self, outputs: Outputs, temperature: float) -> Any:
        """Calibrated probabilities of each answer, float64 ``(n, k)``."""
        return outputs

    def expected_scores(self, calibrated: Any) -> Any:
        """The score of each row that calibrated probabilities promise, ``(n,)``."""
        return None

    def draw(
        self,
        outputs: Outputs,
        targets: Targets,
        data: DataDescription,
        evaluation: EvaluationSpec,
        folder: Path,
    ) -> None:
        """Draw each of the task's ``PICTURES`` as ``<name>.png`` in a folder."""


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


class Surveyor(Protocol):
    """What `headrace new` finds out."""

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
