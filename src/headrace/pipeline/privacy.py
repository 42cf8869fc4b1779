"""``[training.privacy]``: differentially private training."""

from __future__ import annotations

from pydantic import model_validator

from headrace.pipeline.fields import added
from headrace.pipeline.tables import SpecTable
from headrace.settings import option

# Family defaults that look at validation rows or count what rows have, which a private
# training does not.
NOT_PRIVATE = ("calibrate", "ngrams", "patience")
# The fields that cannot have another value than their default, and why.
CONFLICTS = {
    "loss": "the bound on one row needs the loss of each row, which only the task's "
    "own loss surely gives",
    "callbacks": "they see the loss of train, which is not private",
    "patience": "the validation rows would decide on the weights",
    "calibrate": "the validation rows would decide on the weights",
    "devices": "private steps are computed on one device",
    "precision": "private steps are computed in float32",
    "canaries": "a planted text is no row",
    "augment": "private steps take each row as it is",
    "ngrams": "they are counted without noise",
}


class PrivacySpec(SpecTable):
    """``[training.privacy]``: the weights reveal little about any one row of train.

    The method is DP-SGD (Abadi and others, Deep Learning with Differential Privacy,
    2016): each step samples rows at random, bounds the gradient of each row by ``clip``
    and adds Gaussian noise to their sum.
    """

    epsilon: float | None = option(
        None,
        "the budget: how much the weights may reveal about one row; the noise is "
        "found from it. Give this or noise",
        gt=0,
        le=1_000,
        allow_inf_nan=False,
    )
    noise: float | None = option(
        None,
        "the noise multiplier: the standard deviation of the noise in units of clip. "
        "Give this or epsilon",
        ge=0.1,
        le=1_000,
        allow_inf_nan=False,
    )
    clip: float = option(
        1.0,
        "the largest Euclidean norm of the gradient of one row",
        gt=0,
        allow_inf_nan=False,
    )
    delta: float | None = added(
        None,
        "the probability with which the bound epsilon may not hold, well below 1 / "
        "rows of train; by default a hundredth of that",
        gt=0,
        lt=1,
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> PrivacySpec:
        if (self.epsilon is None) == (self.noise is None):
            raise ValueError("give epsilon or noise, and not both")
        return self
