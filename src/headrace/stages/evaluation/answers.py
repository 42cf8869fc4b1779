"""What a model, and those that it is compared with, answer to the test rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.data.snapshots import Rows, SplitRows
from headrace.media import medium
from headrace.models.logged.inference import probabilities


@dataclass(frozen=True, slots=True)
class Mistakes:
    """Wrong answers, the most confident first.

    Attributes:
        items: ``(k, *shape)``, of the medium's type.
        labels, predicted: class indices, int32 ``(k,)``.
        confidence: float32 ``(k,)``.
    """

    items: npt.NDArray[Any]
    labels: npt.NDArray[np.int32]
    predicted: npt.NDArray[np.int32]
    confidence: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Answers:
    """One pass over the rows of the test split.

    Attributes:
        labels: class indices, int32 ``(n,)``.
        given: class probabilities, float32 ``(n, classes)``.
        predicted: class indices, int32 ``(n,)``.
        others: of each other model, class indices, int32 ``(n,)``.
        groups: of the rows, ``(n,)``; empty where they have none.
        mistakes: those that are shown.
    """

    labels: npt.NDArray[np.int32]
    given: npt.NDArray[np.float32]
    predicted: npt.NDArray[np.int32]
    others: Mapping[int, npt.NDArray[np.int32]]
    groups: list[str]
    mistakes: Mistakes

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Which rows were classified rightly, ``(n,)``."""
        right: npt.NDArray[np.bool_] = self.predicted == self.labels
        return right


def ask(
    model: Any, others: Mapping[int, Any], rows: SplitRows, mistakes: int
) -> Answers:
    """Put every row to the models, a shard at a time.

    Args:
        model: a Keras model from raw items to probabilities.
        others: more of them, by their version.
        rows: of the test split.
        mistakes: how many are kept.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
    description = rows.snapshot.description
    none, groups = np.empty(0, np.int32), list[str]()
    labels, predicted = [none], [none]
    choices = {version: [none] for version in others}
    given = [np.empty((0, len(description.classes)), np.float32)]
    module = medium(description.medium)
    nothing = np.empty((0, *description.shape), module.DTYPE)
    worst = Mistakes(nothing, none, none, np.empty(0, np.float32))
    for shard in np.flatnonzero(rows.counts).tolist():
        part = rows.read(shard)
        labels.append(part.labels)
        groups += part.groups
        raw = module.raw(part.items)
        given.append(probabilities(model, raw))
        predicted.append(_best(given[-1]))
        worst = _worst(worst, part, given[-1], predicted[-1], mistakes)
        for version, other in others.items():
            choices[version].append(best_classes(other, raw))
    return Answers(
        np.concatenate(labels),
        np.concatenate(given),
        np.concatenate(predicted),
        {version: np.concatenate(parts) for version, parts in choices.items()},
        groups,
        worst,
    )


def best_classes(model: Any, raw: Any) -> npt.NDArray[np.int32]:
    """The class index of the highest probability of each raw item, int32 ``(n,)``."""
    return _best(probabilities(model, raw))


def _best(given: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
    best: npt.NDArray[np.int32] = given.argmax(axis=1).astype(np.int32)
    return best


def _first(confidence: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.intp]:
    return np.argsort(-confidence, kind="stable")[:count]


def _worst(
    before: Mistakes,
    part: Rows,
    given: npt.NDArray[np.float32],
    predicted: npt.NDArray[np.int32],
    count: int,
) -> Mistakes:
    """The ``count`` most confident mistakes, of those before and of a part's."""
    wrong = np.flatnonzero(predicted != part.labels)
    wrong = wrong[_first(given[wrong, predicted[wrong]], count)]
    confidence = np.concatenate([before.confidence, given[wrong, predicted[wrong]]])
    first = _first(confidence, count)
    return Mistakes(
        np.concatenate([before.items, part.items[wrong]])[first],
        np.concatenate([before.labels, part.labels[wrong]])[first],
        np.concatenate([before.predicted, predicted[wrong]])[first],
        confidence[first],
    )
