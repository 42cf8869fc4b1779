"""How a task judges answers, and what of an answer is explained.

Protocols with defaults. ``judge.py`` of a task has `JUDGE` and, where answers are
explained, `EXPLAINED`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from headrace.errors import SpecError
from headrace.records import DataDescription, Finding, Metrics, SuspectRecord

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from headrace.spec import EvaluationSpec, GateSpec, PipelineSpec
    from headrace.tasks.forms import Context, Outputs, Scores, Targets


@dataclass(frozen=True, slots=True)
class Judged:
    """Rows of one split, and a model's answers to them.

    Attributes:
        split: train, val or test.
        items: ``(n, *shape)``, of the medium's type.
        targets, outputs: ``(n, ...)``.
        names: of each row in the source, ``(n,)``.
        places: their numbers in the split, ``(n,)``.
    """

    split: str
    items: npt.NDArray[Any]
    targets: Targets
    names: list[str]
    outputs: Outputs
    places: npt.NDArray[np.intp]

    def chosen(self, rows: npt.NDArray[np.bool_]) -> Judged:
        """Some of the rows, bool ``(n,)``, in memory of their own."""
        names = [self.names[row] for row in rows.nonzero()[0]]
        answered = self.targets[rows], names, self.outputs[rows]
        return Judged(self.split, self.items[rows], *answered, self.places[rows])


# The answers of other models to rows; None where they are not known.
Second: TypeAlias = "Callable[[Judged], Outputs | None]"


class Rated(NamedTuple):
    """A rate of some rows, by which groups are compared.

    Attributes:
        scores: whether each row counts as a success, bool ``(n,)``.
        about: the rows that the rate is about, bool ``(n,)``, such as those of a class.
    """

    scores: npt.NDArray[np.bool_]
    about: npt.NDArray[np.bool_]


class Certainty(NamedTuple):
    """The confidence of answers, and what came of it.

    Attributes:
        promised: the probability that each answer is right, float64 ``(n,)``.
        right: whether it is, bool ``(n,)``.
    """

    promised: npt.NDArray[np.float64]
    right: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Suspect:
    """A row where the model disagrees with the label, which may be wrong.

    Attributes:
        item: ``shape``, of the medium's type.
        row: the estimated probability that its label is wrong is above 0.5.
        drawn: that probability by other parameters that the data allows, ``(k,)``.
    """

    item: npt.NDArray[Any]
    row: SuspectRecord
    drawn: npt.NDArray[np.float64]


class Judge(Protocol):
    """Scores, metrics and pictures of answers.

    Attributes:
        IS_ALONE: whether scores need no `prepared` judge, as monitoring has none.
        WEIGHTS_VARY: whether `weights` depend on the answers, as those of F1 do.
        THINGS: what the rows of a split are, in words.
    """

    IS_ALONE: bool = True
    WEIGHTS_VARY: bool = False
    THINGS: str = "rows"

    def check_gate(self, gate: GateSpec) -> None:
        """Check the arguments of a gate that names no kind; none are known.

        Raises:
            SpecError: it does not take one, or its value does not fit.
        """
        for name, value in gate.arguments.items():
            raise SpecError(
                f"The gate {gate.name!r} has the argument {name} = {value!r}; it takes "
                "no arguments.",
                "Leave it out.",
            )

    def prepared(self, context: Context) -> Judge:
        """A judge of the answers of one model, with what it needs besides them.

        That is for example a baseline that is fitted to the same rows. It is called
        once in an evaluation; its result is asked for scores, metrics and pictures.
        """
        return self

    def scores(self, outputs: Outputs, targets: Targets) -> Scores:
        """One score a row ``(n,)``: bool where an answer is right or wrong.

        Where the score of many rows is a ratio of sums, these are the numerators. An
        answer that is not finite is wrong, or its score is NaN: it is never counted as
        a good one.
        """

    def weights(self, outputs: Outputs, targets: Targets) -> Scores | None:
        """The denominators of the scores, ``(n,)``; None where all are 1.

        They depend on the rows alone, and not on the model, unless `WEIGHTS_VARY`.
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

    def certainty(self, outputs: Outputs, scores: Scores) -> Certainty | None:
        """What each answer promises, and whether it is right; None without promises.

        Args:
            outputs: ``(n, ...)``.
            scores: of these answers, ``(n,)``.
        """
        return None

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

    def suspects(
        self,
        parts: Iterable[Judged],
        data: DataDescription,
        second: Second,
        *,
        own_loss: bool = False,
    ) -> list[Suspect]:
        """Rows whose label is more likely wrong than right, worst first.

        Args:
            parts: rows of some splits, one split after the other.
            data: of the snapshot.
            second: the answers to held-out rows of models that saw neither these rows
                nor train; None where they are not known.
            own_loss: whether the model was fitted to another loss than the task's.
        """
        return []

    def few_rows(
        self, spec: PipelineSpec, targets: Targets, val_rows: int
    ) -> list[Finding]:
        """Decisions of the spec that rest on too few rows.

        By default the comparison with a champion, of which ``THINGS`` says what the
        rows are.
        """
        from headrace.tasks.judging import too_few

        return too_few(len(targets), self.THINGS)

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
