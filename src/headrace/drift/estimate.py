"""Performance without labels, and where that cannot be estimated."""

from __future__ import annotations

from headrace.drift.profile import Profile
from headrace.drift.windows import Window
from headrace.records import Record
from headrace.tasks.forms import Outputs

TOLERANCE = 0.05


class Estimate(Record):
    """The estimated mean score of a window.

    Attributes:
        value, low, high: None where it cannot be estimated.
        drop: the reference's score minus the value, None likewise; positive is worse,
            also where a lower score is better.
        reason: why it cannot be estimated, a sentence; empty where it can.
        distance: of the answers from the reference, 0..1.
        limit: the largest distance at which the ladder's estimates are right.
        least_loss: the smallest true loss of the ladder's rungs that lie as far as the
            window or farther; None without such rungs.
        agreement: share of items to which the shadow gives the same answer.
        methods: confidence, or confidence and agreement.
    """

    value: float | None
    low: float | None
    high: float | None
    drop: float | None
    reason: str
    distance: float
    limit: float
    least_loss: float | None = None
    agreement: float | None = None
    methods: tuple[str, ...] = ()


def estimate(
    profile: Profile,
    window: Window,
    *,
    shadow: Profile | None = None,
    shadow_outputs: Outputs | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """Estimate the mean score of a window without labels.

    Args:
        profile: of the version that answered.
        window: what it answered.
        shadow: the profile of a second version, with items of the same reference.
        shadow_outputs: the second version's outputs to the window's items
            ``(n, ...)``; rows that it did not answer are NaN.
        confidence: of the interval.
    """
    raise NotImplementedError
