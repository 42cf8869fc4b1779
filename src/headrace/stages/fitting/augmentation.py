"""Augmentation in training steps: rows are varied as their medium does, and mixed.

A mixed row is ``share`` of itself and the rest of the row before it in its batch, and
so is its loss. Of cross entropy, that is the loss of the mixed label. The share is the
larger part, so that a row's score is that of its own target.

Source: H. Zhang and others, mixup: Beyond Empirical Risk Minimization, 2018.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from headrace.errors import SpecError
from headrace.media import augmentation
from headrace.media.draws import uniform
from headrace.pipeline.augment import AugmentSpec
from headrace.stages.fitting.recipe import Objective

_QUANTILES = 4096
_PLACE = 2**20  # of a row's random number; those of media are before it


class Mixed(NamedTuple):
    """The targets of mixed rows.

    Attributes:
        own, other: targets of both rows, ``(batch, ...)``.
        share: of the row itself, ``(batch,)``.
    """

    own: Any
    other: Any
    share: Any


class Augmenter:
    """What a recipe asks for.

    Args:
        augment: of the recipe.
        medium: of the items.
    """

    def __init__(self, augment: AugmentSpec, medium: str) -> None:
        self._fields = augment.model_dump()
        self._medium = augmentation(medium)
        alpha = self._fields.get("mixup", 0.0)
        self._shares = _beta(alpha) if alpha else None

    def rows(self, rows: Any, first: int, end: int) -> Any:
        """Some rows of a batch ``(..., batch)``; of mixed ones also the one before."""
        import tensorflow as tf

        if self._shares is None:
            return rows[..., first:end]
        return tf.concat([rows[..., -1:], rows], -1)[..., first : end + 1]

    def vary(self, items: Any, keys: Any) -> Any:
        """Items as their medium varies them; see `headrace.media.Augmentation`."""
        return self._medium.augment(items, keys, self._fields)

    def mix(self, items: Any, targets: Any, keys: Any) -> tuple[Any, Any]:
        """Mix rows, and their targets, with the one before each; see `rows`."""
        from keras import ops

        if self._shares is None:
            return items, targets
        place = uniform(keys, 1, _PLACE)[1:, 0] * _QUANTILES
        share = ops.take(self._shares, ops.cast(place, "int32"))
        of_items = ops.reshape(share, (-1, *(1 for _ in items.shape[1:])))
        mixed = items[1:] * of_items + items[:-1] * (1 - of_items)
        return mixed, Mixed(targets[1:], targets[:-1], share)


def losses_of(objective: Objective, network: Any, targets: Any, outputs: Any) -> Any:
    """The loss of each row ``(batch,)``, whether it is mixed or not.

    Raises:
        SpecError: rows are mixed, and the loss is one number for all of them.
    """
    if not isinstance(targets, Mixed):
        return objective.losses(network, targets, outputs)
    both = [
        objective.losses(network, truth, outputs)
        for truth in (targets.own, targets.other)
    ]
    if not both[0].shape.rank:
        raise SpecError(
            "training.augment.mixup needs the loss of each row, and training.loss "
            "gives one number for a batch.",
            "Return the losses of the rows, or leave mixup out.",
        )
    return targets.share * both[0] + (1 - targets.share) * both[1]


def _beta(alpha: float) -> Any:
    """Equally likely values of a Beta distribution, or of 1 minus them if larger."""
    from scipy import special

    places = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    shares = special.betaincinv(alpha, alpha, places)
    return np.maximum(shares, 1 - shares).astype(np.float32)
