"""How a task judges answers: scores, metrics and pictures.

A protocol and a class with defaults. ``judge.py`` of a task has `JUDGE` and, where
answers are explained, `EXPLAINED`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from headrace.errors import SpecError
from headrace.records import DataDescription, Finding, Metrics
from headrace.tasks.forms import per_weight

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from headrace.pipeline import EvaluationSpec, GateSpec, PipelineSpec
    from headrace.tasks.forms import (
        Context,
        Outputs,
        Rated,
        Scores,
        Targets,
    )


class Certainty(NamedTuple):
    """The confidence of answers, and what came of it.

    Attributes:
        promised: the probability that each answer is right, float64 ``(n,)``.
        right: whether it is, bool ``(n,)``.
    """

    promised: npt.NDArray[np.float64]
    right: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Judged(ABC):
    """A model's answers to some rows; each number of them is computed once.

    Attributes:
        WEIGHTS_VARY: whether `weights` depend on the answers, as those of F1 do.
        judge: of the answers; `Judge.prepared` in an evaluation.
        outputs, targets: ``(n, ...)``.
        data: of the snapshot.
    """

    WEIGHTS_VARY: ClassVar[bool] = False

    judge: Judge
    outputs: Outputs
    targets: Targets
    data: DataDescription

    @cached_property
    def is_answered(self) -> npt.NDArray[np.bool_]:
        """Which answers have finite numbers only, bool ``(n,)``."""
        from headrace.tasks.judging import is_answered

        return is_answered(self.outputs)

    @property
    @abstractmethod
    def scores(self) -> Scores:
        """One score a row ``(n,)``: bool where an answer is right or wrong.

        Where the score of many rows is a ratio of sums, these are the numerators. An
        answer that is not finite is wrong, or its score is NaN: it is never counted as
        a good one.
        """

    @property
    def weights(self) -> Scores | None:
        """The denominators of the scores, ``(n,)``; None where all are 1.

        They depend on the rows alone, and not on the model, unless `WEIGHTS_VARY`.
        """
        return None

    @property
    def per_weight(self) -> npt.NDArray[np.float64]:
        """Scores whose mean is that of many rows, ``(n,)``; see `per_weight`."""
        return per_weight(self.scores, self.weights)

    @property
    @abstractmethod
    def badness(self) -> Any:
        """How bad each answer is, float ``(n,)``; 0 or less is not shown."""

    @property
    def certainty(self) -> Certainty | None:
        """What each answer promises, and whether it is right; None without promises."""
        return None

    @abstractmethod
    def metrics(self, evaluation: EvaluationSpec) -> tuple[Metrics, dict[str, Metrics]]:
        """Metrics of the rows, which are those of test, and of slices by name."""

    def rate(self, name: str) -> Rated | None:
        """A rate that groups can be compared by beside the score, such as a recall.

        Args:
            name: such as ``class=spam/recall``.

        Returns:
            its rows; None where the task has no such rate.
        """
        return None

    @abstractmethod
    def draw(self, evaluation: EvaluationSpec, folder: Path) -> None:
        """Draw each of the task's ``PICTURES`` as ``<name>.png`` in a folder."""


class Judge(Protocol):
    """What a task says of answers before and after they are `Judged`.

    Attributes:
        JUDGED: answers with scores, metrics and pictures.
        IS_ALONE: whether scores need no `prepared` judge, as monitoring has none.
        THINGS: what the rows of a split are, in words.
    """

    JUDGED: type[Judged]
    IS_ALONE: bool = True
    THINGS: str = "rows"

    @property
    def texts(self) -> Sequence[str]:
        """What the judged model wrote, in tasks whose models write."""
        return ()

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

    def judged(
        self, outputs: Outputs, targets: Targets, data: DataDescription
    ) -> Judged:
        """Answers to some rows ``(n, ...)``, with scores and metrics."""
        return self.JUDGED(self, outputs, targets, data)

    def summary(
        self, scores: Scores, confidence: float, weights: Scores | None = None
    ) -> Metrics:
        """``<SCORE>`` of some rows, with the bounds of its interval."""

    def caption(self, output: Any, target: Any, data: DataDescription) -> str:
        """The caption of a bad answer, one or two lines."""

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
