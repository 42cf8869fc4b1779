"""Performance without labels, and where that cannot be estimated.

A classifier's calibrated confidence promises an accuracy. The estimate is the accuracy
of the reference, plus the change of that promise, less its error on the rung of the
version's ladder that the window resembles most. Under some shifts the promise is wrong
by 0.1 to 0.8, and no method is safe by itself. So the ladder also says at which
distances of the answers the estimate can be trusted: below that of the first rung on
which it is wrong. A window that lies farther away is not estimated.

Sources: D. Guillory, V. Shankar, S. Ebrahimi, T. Darrell, L. Schmidt, Predicting with
confidence on unseen distributions, ICCV 2021 (difference of confidences); Z. Lipton,
Y.-X. Wang, A. Smola, Detecting and correcting for label shift with black box
predictors, ICML 2018 (distances of answers); C. Baek, Y. Jiang, A. Raghunathan, Z.
Kolter, Agreement-on-the-line, NeurIPS 2022 (agreement of two models).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from headrace.display.signs import number_of
from headrace.monitoring.drift.agreement import agreement
from headrace.monitoring.drift.answers import AnswerDistance, read_answers
from headrace.monitoring.drift.profile import Profile, ProfileFacts, Rung
from headrace.monitoring.drift.windows import Window
from headrace.records import Record
from headrace.tasks import task
from headrace.tasks.distances import ks_distance
from headrace.tasks.forms import Outputs

TOLERANCE = 0.05
# Rows of a window from which a distance is computed.
_MOST_ROWS = 2000
FEWEST_ROWS = 50
_ALIKE, _AS_FAR = 3, 0.8


class Estimate(Record):
    """The estimated mean score of a window.

    Attributes:
        value, low, high: None where it cannot be estimated.
        drop: the value minus the reference's score, None likewise; negative is worse.
        likely_drop: whether the interval lies below the reference's score or, where
            nothing can be estimated, ``likely_loss`` exceeds the tolerance.
        reason: why it cannot be estimated, a sentence; empty where it can.
        distance: of the answers from the reference, see `answers.AnswerDistance`.
        limit: the largest distance at which the ladder's estimates are right.
        likely_loss: the least true loss of the rung that the window resembles most, in
            the distances of its answers and columns, and of up to two others that lie
            about as far; None without a ladder.
        resembles: the first of them, such as ``noise 25``.
        correction: the error of the promise on that rung, which was subtracted.
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
    resembles: str = ""
    correction: float = 0.0
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
        if error is None or abs(error) > TOLERANCE:
            break
        limit = rung.distance
    return limit


def _error(facts: ProfileFacts, rung: Rung) -> float | None:
    """How much too high the change of confidence puts the score of a rung."""
    if rung.estimated is None or facts.estimated is None:
        return None
    return rung.estimated - facts.estimated + facts.score - rung.score


def estimate(
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
        window: what it answered.
        shadow: the profile of a second version, which has items of the reference too.
        shadow_outputs: the second version's outputs to the window's items
            ``(n, ...)``; rows that it did not answer are NaN.
        confidence: of the interval.
        without: families of the ladder that are left out, see `limit_of`.
    """
    facts, reference = profile.facts, profile.answers()
    agreed = None
    if shadow is not None and shadow_outputs is not None:
        agreed = agreement(profile, window, shadow, shadow_outputs)
    step = max(1, -(-len(window) // _MOST_ROWS))
    part = read_answers(window.outputs[::step], facts.description, facts.temperature)
    distance = AnswerDistance(reference)(part) if len(window) else 0.0
    alike = _alike(profile, window, distance, without)
    result = Estimate(
        distance=distance,
        limit=limit_of(facts, without),
        likely_loss=_least_loss(facts, alike),
        correction=(_error(facts, alike[0]) or 0.0) if alike else 0.0,
        resembles=f"{alike[0].family} {alike[0].level:g}" if alike else "",
        agreement=agreed.share if agreed else None,
    )
    answered = read_answers(window.outputs, facts.description, facts.temperature)
    if reference.expected is None or answered.expected is None:
        return _without(result, "this task has no estimate without labels")
    if len(window) < FEWEST_ROWS:
        count, verb = len(window), "is" if len(window) == 1 else "are"
        reason = f"{number_of(count, 'items')} {verb} too few; {FEWEST_ROWS} are needed"
        return result.model_copy(update={"reason": reason})
    if distance > result.limit:
        far = f"the answers lie {distance:.2f} from the reference"
        limit = f"{result.limit:.2f} (0 is alike, about 2 is the most)"
        return _without(result, f"{far}, and estimates hold up to {limit}")
    promised, gaps = answered.expected, profile.scores - reference.expected
    error = math.sqrt(promised.var() / len(promised) + gaps.var() / len(gaps))
    half = NormalDist().inv_cdf((1 + confidence) / 2) * error
    half += _largest_error(facts, distance, without)
    promise = float(promised.mean() + gaps.mean())
    values = {"confidence": promise - result.correction}
    if agreed:
        values["agreement"] = facts.score + agreed.share - agreed.of_reference
    return _combined(result, values, half, facts.score)


def _without(result: Estimate, reason: str) -> Estimate:
    """No estimate; the ladder may tell that a drop is likely nevertheless."""
    far = result.distance > result.limit
    lost = far and (result.likely_loss or 0.0) > TOLERANCE
    return result.model_copy(update={"reason": reason, "likely_drop": lost})


def _combined(
    result: Estimate, values: dict[str, float], half: float, score: float
) -> Estimate:
    """The mean of the methods; the interval has those of all of them."""
    least, most = min(values.values()), max(values.values())
    if most - least > 2 * TOLERANCE:
        promises = ", ".join(f"{name} {value:.2f}" for name, value in values.items())
        lost = least < score - 2 * TOLERANCE
        update = {"reason": f"the methods differ: {promises}", "likely_drop": lost}
        return result.model_copy(update=update)
    value = min(1.0, max(0.0, (least + most) / 2))
    return result.model_copy(
        update={
            "value": value,
            "low": max(0.0, least - half),
            "high": min(1.0, most + half),
            "drop": value - score,
            "likely_drop": most + half < score,
            "methods": tuple(values),
        }
    )


def _largest_error(
    facts: ProfileFacts, distance: float, without: Sequence[str]
) -> float:
    """The largest error on the rungs up to a distance, and on the next one."""
    errors = []
    for rung in sorted(facts.rungs, key=lambda rung: rung.distance):
        if rung.family not in without:
            errors.append(abs(_error(facts, rung) or 0.0))
            if rung.distance >= distance:
                break
    return max(errors, default=0.0)


def _alike(
    profile: Profile, window: Window, distance: float, without: Sequence[str]
) -> list[Rung]:
    """The rung that a window resembles most, and others that lie about as far."""
    names = [n for n in profile.columns if n in window.columns and len(window)]
    apart = {n: ks_distance(profile.columns[n], window.columns[n]) for n in names}

    def difference(rung: Rung) -> float:
        squares = [(rung.columns[name] - apart[name]) ** 2 for name in names]
        return (rung.distance - distance) ** 2 + sum(squares)

    rungs = [rung for rung in profile.facts.rungs if rung.family not in without]
    ranked = sorted(rungs, key=difference)
    others = [rung for rung in ranked[1:] if rung.distance >= _AS_FAR * distance]
    return [*ranked[:1], *others[: _ALIKE - 1]]


def _least_loss(facts: ProfileFacts, rungs: Sequence[Rung]) -> float | None:
    """The least loss of rungs, so that all of them lose as much; positive is worse."""
    sign = 1 if task(facts.description.task).higher_is_better else -1
    losses = [sign * (facts.score - rung.score) for rung in rungs]
    return min(losses, default=None)
