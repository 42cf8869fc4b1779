"""A sigmoid for each tag, and thresholds that are chosen on val.

A threshold maximises the F1 of its tag on val (Z. C. Lipton, C. Elkan, B. Naryanaswamy,
Optimal thresholding of classifiers to maximize F1 measure, ECML PKDD 2014).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.pipeline import TrainingSpec
from headrace.records import DataDescription, Metrics
from headrace.tasks import asked
from headrace.tasks.calibration import Calibrated, temperature_of
from headrace.tasks.forms import Example, Lazy, Outputs, Shards, Targets
from headrace.tasks.learn import Fitting, check_probabilities

HALF = 0.5
FEWEST = 5  # rows of val that have a tag; with fewer, its threshold is `HALF`
_AT_ONCE = 256
_LEAST = 1e-7


def thresholds_of(probabilities: Outputs, targets: Targets) -> list[float]:
    """The threshold of each tag with the highest F1; of equals that nearest to half.

    Args:
        probabilities, targets: of the rows of val, ``(n, tags)``.
    """
    pairs = zip(probabilities.astype(np.float64).T, targets.T == 1, strict=True)
    return [_threshold(own, has_tag) for own, has_tag in pairs]


def _threshold(own: npt.NDArray[np.float64], has_tag: npt.NDArray[np.bool_]) -> float:
    if has_tag.sum() < FEWEST:
        return HALF
    order = np.argsort(-own, kind="stable")
    falling = own[order]
    answered = np.arange(1, len(own) + 1)
    f1 = 2 * np.cumsum(has_tag[order]) / (answered + has_tag.sum())
    cuts = (falling + np.append(falling[1:], 0.0)) / 2
    f1[np.append(falling[1:] == falling[:-1], False)] = -1  # no cut between equals
    best = cuts[f1 >= f1.max() - 1e-12]
    return float(best[np.abs(best - HALF).argmin()])


class SigmoidPerTag(Calibrated):
    """See `headrace.tasks.Head`."""

    IS_ROW_BY_ROW = True
    ACTIVATION = "sigmoid"

    def output_shape(self, data: DataDescription) -> tuple[int, ...]:
        """A probability and a threshold for each tag."""
        return (2 * len(data.tags),)

    def head(
        self, data: DataDescription, targets: Lazy, options: Mapping[str, Any]
    ) -> list[Any]:
        """One dense layer with sigmoids."""
        import keras

        return [keras.layers.Dense(len(data.tags), activation="sigmoid", **options)]

    def check_network(self, network: Any, data: DataDescription, builder: str) -> None:
        """Refuse a network that does not give ``(batch, tags)``."""
        check_probabilities(network, len(data.tags), "tags", builder)

    def compose(self, preprocessing: Any, network: Any, data: DataDescription) -> Any:
        """Thresholds follow the probabilities; `HALF` until they are chosen."""
        if network.outputs[0].shape[-1] == len(data.tags):
            network = _with_thresholds(network, [HALF] * len(data.tags))
        return super().compose(preprocessing, network, data)

    def complete(
        self, model: Any, fitting: Fitting, train: Shards, val: Example
    ) -> tuple[Any, Metrics]:
        """The model with the thresholds that are best on val, unless it is private."""
        if fitting.training.privacy is not None or not len(val.targets):
            return model, {}
        raw = asked(fitting.data).raw(val.questions)
        starts = range(0, len(raw), _AT_ONCE)
        answers = [np.asarray(model(raw[at : at + _AT_ONCE])) for at in starts]
        own = np.concatenate(answers)[:, : len(fitting.data.tags)]
        network = _with_thresholds(fitting.network, thresholds_of(own, val.targets))
        return self.compose(fitting.preprocessing, network, fitting.data), {}

    def losses(
        self, network: Any, targets: Any, outputs: Any, training: TrainingSpec
    ) -> Any:
        """The mean binary cross entropy of the tags."""
        import keras

        return keras.losses.binary_crossentropy(
            targets, outputs[:, : targets.shape[-1]]
        )

    def training_scores(self, targets: Any, outputs: Any) -> Any:
        """The share of the tags that are right by `HALF`."""
        from keras import ops

        answered = ops.cast(outputs[:, : targets.shape[-1]] >= HALF, "float32")
        return ops.mean(ops.cast(answered == targets, "float32"), axis=-1)

    def best_temperature(self, outputs: Outputs, targets: Targets) -> float:
        """The temperature of all tags with the lowest cross entropy."""
        from scipy import special

        own = np.clip(outputs.astype(np.float64), _LEAST, 1 - _LEAST)
        signed = np.where(targets == 1, 1, -1) * special.logit(own)
        return temperature_of(lambda t: -float(special.log_expit(signed / t).sum()))

    def validation_metrics(
        self, network: Any, outputs: Outputs, targets: Targets
    ) -> Metrics:
        """Cross entropy, and the share of the tags that are right by `HALF`."""
        own = outputs[:, : targets.shape[1]]
        right = np.where(targets == 1, own, 1 - own).clip(_LEAST, 1 - _LEAST)
        return {
            "val_loss": float(-np.log(right).mean()),
            "val_tag_accuracy": float(((own >= HALF) == targets).mean()),
        }


def _with_thresholds(network: Any, thresholds: list[float]) -> Any:
    """A network that gives a threshold after each probability, ``(n, 2 * tags)``."""
    import keras

    own = network.outputs[0]
    constant = keras.layers.Rescaling(0.0, thresholds)(own)
    both = keras.layers.Concatenate()([own, constant])
    return keras.Model(network.inputs, both, name=network.name)


HEAD = SigmoidPerTag()
