"""Performance without labels, and where that cannot be estimated.

A classifier's calibrated confidence promises an accuracy. The estimate is the accuracy
of the reference, plus the change of that promise. Under some shifts the promise is
wrong by 0.1 to 0.8, and no method is safe by itself. So the version's ladder says at
which distances of the answers the estimate can be trusted: below that of the first rung
on which it is wrong. A window that lies farther away is not estimated.

Sources: D. Guillory, V. Shankar, S. Ebrahimi, T. Darrell, L. Schmidt, Predicting with
confidence on unseen distributions, ICCV 2021 (difference of confidences); Z. Lipton,
Y.-X. Wang, A. Smola, Detecting and correcting for label shift with black box
predictors, ICML 2018 (distances of answers); C. Baek, Y. Jiang, A. Raghunathan, Z.
Kolter, Agreement-on-the-line, NeurIPS 2022 (agreement of two models).
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from headrace.drift.agreement import agreement
from headrace.drift.answers import AnswerDistance, read_answers
from headrace.drift.profile import Profile, ProfileFacts, Rung
from headrace.drift.windows import Window
from headrace.records import Record
from headrace.tasks import task
from headrace.tasks.forms import Outputs

TOLERANCE = 0.05
# Rows of a window from which a distance is computed.
_MOST_ROWS = 2000
_FEWEST_ROWS = 50
_Floats = npt.NDArray[np.float64]


class Estimate(Record):
    """The estimated mean score of a window.

    Attributes:
        value, low, high: None where it cannot be estimated.
        drop: the value minus the reference's score, None likewise; negative is worse.
        likely_drop: whether the interval lies below the reference's score or, where
            nothing can be estimated, most rungs at least as far lost more than the
            tolerance.
        reason: why it cannot be estimated, a sentence; empty where it can.
        distance: of the answers from the reference, see `answers.AnswerDistance`.
        limit: the largest distance at which the ladder's estimates are right.
        likely_loss: the median true loss of the ladder's rungs that lie as far as the
            window or farther; None without such rungs.
        agreement: share of items to which the shadow gives the same answer.
        methods: confidence, or confidence and agreement; empty without an estimate.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    drop: float | None = None
    likely_drop: bool = False
    reason: str = ""
    distance: float
    limit: float
    likely_loss: float | None = None
    agreement: float | None = None
    methods: tuple[str, ...] = ()


def limit_of(facts: ProfileFacts, without: Sequence[str] = ()) -> float:
    """The largest distance at which all nearer rungs are estimated within `TOLERANCE`.

    Args:
        facts: of a profile.
        without: families that are left out, to see what the limit says of shifts that
            no ladder has.

    Returns:
        0 where there is no such rung.
    """
    limit = 0.0
    for rung in sorted(facts.rungs, key=lambda rung: rung.distance):
        if rung.family in without:
            continue
        error = _error(facts, rung)
        if error is None or error > TOLERANCE:
            break
        limit = rung.distance
    return limit


def _error(facts: ProfileFacts, rung: Rung) -> float | None:
    if rung.estimated is None or facts.estimated is None:
        return None
    return abs(rung.estimated - facts.estimated + facts.score - rung.score)


def estimate(  # noqa: PLR0913
    profile: Profile,
    window: Window,
    *,
    shadow: Profile | None = None,
    shadow_outputs: Outputs | None = None,
    confidence: float = 0.95,
    without: Sequence[str] = (),
) -> Estimate:
    """Estimate the mean score of a window without labels.

    The interval covers chance (the rows of the window and of the reference) and the
    largest error on the ladder up to this distance.

    Args:
        profile: of the version that answered.
        window: what it answered; repeated items count as often as they were asked.
        shadow: the profile of a second version, which has items of the reference too.
        shadow_outputs: the second version's outputs to the window's items
            ``(n, ...)``; rows that it did not answer are NaN.
        confidence: of the interval.
        without: families of the ladder that are left out, see `limit_of`.
    """
    facts, limit = profile.facts, limit_of(profile.facts, without)
    reference = profile.answers()
    answered = read_answers(window.outputs, facts.description, facts.temperature)
    few = len(window) < _FEWEST_ROWS
    step = max(1, -(-len(window) // _MOST_ROWS))
    part = read_answers(window.outputs[::step], facts.description, facts.temperature)
    distance = AnswerDistance(reference)(part) if len(window) else 0.0
    agreed = None
    if shadow is not None and shadow_outputs is not None:
        agreed = agreement(profile, window, shadow, shadow_outputs)
    loss = _likely_loss(facts, distance)
    result = Estimate(
        distance=distance,
        limit=limit,
        likely_loss=loss,
        agreement=agreed.share if agreed else None,
    )
    reason = ""
    if reference.expected is None or answered.expected is None:
        reason = "this task has no estimate without labels"
    elif few:
        reason = f"{len(window):,} items are too few; {_FEWEST_ROWS} are needed"
    elif distance > limit:
        reason = (
            f"the answers lie {distance:.2f} from the reference, and estimates were "
            f"shown to be right up to {limit:.2f}"
        )
    if reason or reference.expected is None or answered.expected is None:
        lost = not few and loss is not None and loss > TOLERANCE and distance > limit
        return result.model_copy(update={"reason": reason, "likely_drop": lost})
    promised, gaps = answered.expected, profile.scores - reference.expected
    value = float(promised.mean() + gaps.mean())
    error = np.sqrt(promised.var() / len(promised) + gaps.var() / len(gaps))
    half = NormalDist().inv_cdf((1 + confidence) / 2) * float(error)
    half += _largest_error(facts, distance, without)
    values, methods = [value], ("confidence",)
    if agreed:
        by_agreement = facts.score + agreed.share - agreed.of_reference
        if abs(by_agreement - value) > 2 * TOLERANCE:
            reason = (
                f"confidence promises {value:.2f}, and agreement with the shadow "
                f"{by_agreement:.2f}"
            )
            lost = by_agreement < facts.score - 2 * TOLERANCE
            return result.model_copy(update={"reason": reason, "likely_drop": lost})
        values, methods = [value, by_agreement], ("confidence", "agreement")
    value = float(np.mean(values))
    high = min(1.0, max(values) + half)
    return result.model_copy(
        update={
            "value": min(1.0, max(0.0, value)),
            "low": max(0.0, min(values) - half),
            "high": high,
            "drop": value - facts.score,
            "likely_drop": high < facts.score,
            "methods": methods,
        }
    )


def _largest_error(
    facts: ProfileFacts, distance: float, without: Sequence[str]
) -> float:
    """The largest error on the rungs up to a distance, and on the next one."""
    errors = []
    for rung in sorted(facts.rungs, key=lambda rung: rung.distance):
        if rung.family not in without:
            errors.append(_error(facts, rung) or 0.0)
            if rung.distance >= distance:
                break
    return max(errors, default=0.0)


def _likely_loss(facts: ProfileFacts, distance: float) -> float | None:
    """The median loss of the rungs that lie as far or farther; positive is worse."""
    sign = 1 if task(facts.description.task).higher_is_better else -1
    losses = [
        sign * (facts.score - rung.score)
        for rung in facts.rungs
        if rung.distance >= distance
    ]
    return float(np.median(losses)) if losses else None
