"""The parts of a task that learn and judge, as protocols with defaults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from headrace.errors import SpecError
from headrace.records import DataDescription, Finding, Metrics

if TYPE_CHECKING:
    from headrace.media.forms import Payload
    from headrace.spec import EvaluationSpec, GateSpec, PipelineSpec, TrainingSpec
    from headrace.tasks.forms import (
        Certainty,
        Context,
        Example,
        Fitting,
        Judged,
        Lazy,
        Outputs,
        Rated,
        Scores,
        Second,
        Shards,
        Shown,
        Suspect,
        Targets,
    )


class Head(Protocol):
    """The last layers of a network, the loss, and checks of both.

    Attributes:
        HAS_EXAMPLES: whether the network is fitted to `examples`; else it is fitted to
            the pre-processing of the questions, and to the targets.
        IS_ROW_BY_ROW: whether the head learns nothing of the targets before the first
            step, and the loss of a row depends on that row alone: a private training
            needs both.
    """

    HAS_EXAMPLES: bool = False
    IS_ROW_BY_ROW: bool = False

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

    def row_losses(
        self, model: Any, outputs: Outputs, targets: Targets, training: TrainingSpec
    ) -> Any:
        """The loss of each row by the saved model's answers, float64 ``(n,)``.

        None where these answers do not show the loss. By default it is `losses`.

        Args:
            model: the saved one, whose last part is the network; see `compose`.
            outputs, targets: ``(n, ...)``.
            training: the recipe.
        """
        from keras import ops

        parts = [layer for layer in model.layers if hasattr(layer, "layers")]
        network = parts[-1] if parts else model
        losses = self.losses(network, targets, outputs, training)
        return ops.convert_to_numpy(losses).astype("float64")

    def training_scores(self, targets: Any, outputs: Any) -> Any:
        """The training score of each row of a batch, a float32 tensor ``(batch,)``."""

    def shown(self, model: Any, data: DataDescription) -> Shown | None:
        """What shows a model as it learns; None where its metrics say it all.

        Args:
            model: that is fitted, with its pre-processing.
            data: of the snapshot.
        """
        return None

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

    def complete(
        self, model: Any, fitting: Fitting, train: Shards, val: Example
    ) -> tuple[Any, Metrics]:
        """The model that is saved, where it holds more than what was fitted.

        Args:
            model: the fitted one, from `compose`, after `finish`.
            fitting: its parts.
            train, val: the rows.

        Returns:
            (the model, metrics to record).
        """
        return model, {}

    def validation_metrics(
        self, network: Any, outputs: Outputs, targets: Targets
    ) -> Metrics:
        """``val_loss``, by which an epoch is chosen, and that of the training score."""


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
