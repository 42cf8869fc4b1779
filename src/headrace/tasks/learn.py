"""How a task learns: the last layers of a network, and the loss.

A protocol with defaults. ``learn.py`` of a task has `HEAD`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from headrace.errors import SpecError
from headrace.records import DataDescription, Metrics
from headrace.tasks.forms import OR_A_BODY

if TYPE_CHECKING:
    from headrace.media.forms import Payload
    from headrace.pipeline import TrainingSpec
    from headrace.tasks.forms import Example, Lazy, Outputs, Shards, Targets


@dataclass(frozen=True, slots=True)
class Fitting:
    """A network that is fitted.

    Attributes:
        preprocessing: adapted to train.
        network: the whole one, with the task's head.
        data: of the snapshot.
        training: the recipe.
    """

    preprocessing: Any
    network: Any
    data: DataDescription
    training: TrainingSpec


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
        """Raise SpecError for a recipe that does not suit; by default, all do."""
        return

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


def check_probabilities(network: Any, count: int, things: str, builder: str) -> None:
    """Refuse a network that does not give one probability for each of some things.

    Raises:
        SpecError: its outputs are not ``(batch, count)``.
    """
    shape = tuple(network.outputs[0].shape)
    if shape != (None, count):
        raise SpecError(
            f"The builder {builder} gives outputs of shape {shape}, but the data has "
            f"{count} {things}.",
            f"End the network with {count} probabilities, {OR_A_BODY}",
        )
