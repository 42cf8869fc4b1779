"""What a model, and the champion beside it, answer to the test rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.inference import probabilities
from headrace.media import medium
from headrace.snapshots import Rows, SplitRows


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
        rival: the champion's class indices, int32 ``(n,)``; None without one.
        groups: of the rows, ``(n,)``; empty where they have none.
        mistakes: those that are shown.
    """

    labels: npt.NDArray[np.int32]
    given: npt.NDArray[np.float32]
    predicted: npt.NDArray[np.int32]
    rival: npt.NDArray[np.int32] | None
    groups: list[str]
    mistakes: Mistakes

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Which rows were told rightly, ``(n,)``."""
        right: npt.NDArray[np.bool_] = self.predicted == self.labels
        return right


def ask(model: Any, rival: Any | None, rows: SplitRows, mistakes: int) -> Answers:
    """Put every row to the models, a shard at a time.

    Args:
        model, rival: Keras models from raw items to probabilities.
        rows: of the test split.
        mistakes: how many are kept.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
    description = rows.snapshot.description
    none, groups = np.empty(0, np.int32), list[str]()
    labels, predicted, others = [none], [none], [none]
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
        if rival is not None:
            others.append(_best(probabilities(rival, raw)))
    return Answers(
        np.concatenate(labels),
        np.concatenate(given),
        np.concatenate(predicted),
        np.concatenate(others) if rival is not None else None,
        groups,
        worst,
    )


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
