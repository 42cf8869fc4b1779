"""Performance without labels, and where that cannot be estimated.

A classifier's calibrated confidence promises an accuracy. The estimate is the accuracy
of the reference, plus the change of that promise. Under many shifts the promise is
wrong, by up to 0.85, and the answers show it: they drift. So a window whose answers
drifted significantly is not estimated.

Source: D. Guillory, V. Shankar, S. Ebrahimi, T. Darrell, L. Schmidt, Predicting with
confidence on unseen distributions, ICCV 2021 (difference of confidences).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from headrace.display.signs import number_of
from headrace.monitoring.profiles import Profile
from headrace.monitoring.records import EstimateFacts, Shift, drifted
from headrace.tasks import task
from headrace.tasks.forms import Outputs, some
from headrace.tasks.judging import is_answered

FEWEST_ROWS = 100
# What confidence hides of shifts that the answers do not show, as was measured.
_HIDDEN = 0.03


def estimate(
    profile: Profile,
    outputs: Outputs,
    answers: Sequence[Shift],
    confidence: float = 0.95,
) -> EstimateFacts:
    """Estimate the mean score of a window without labels.

    Args:
        profile: of the version that answered.
        outputs: what it answered, ``(n, ...)``.
        answers: their tests against the profile.
        confidence: of the interval, which covers chance (the rows of the window and of
            the reference) and what confidence hides of small shifts.
    """
    facts = profile.facts
    judge, temperature = task(facts.description.task).judge, facts.temperature
    if temperature is None:
        return no_estimate(profile, "this task has no estimate without labels")
    if len(outputs) < FEWEST_ROWS:
        count, verb = len(outputs), "is" if len(outputs) == 1 else "are"
        few = f"{number_of(count, 'items')} {verb} too few; {FEWEST_ROWS} are needed"
        return no_estimate(profile, few)
    if shifts := drifted(answers):
        names = some([shift.column for shift in shifts], 3)
        return no_estimate(profile, f"the answers drifted ({names})")
    if lost := int((~is_answered(outputs)).sum()):
        verb = "is" if lost == 1 else "are"
        reason = f"{number_of(lost, 'answers')} {verb} not finite"
        return no_estimate(profile, reason)
    promised, before = (
        judge.expected_scores(judge.calibrated(one, temperature))
        for one in (outputs, profile.outputs)
    )
    gaps = profile.scores - before
    error = math.sqrt(promised.var() / len(promised) + gaps.var() / len(gaps))
    half = NormalDist().inv_cdf((1 + confidence) / 2) * error + _HIDDEN
    value = float(promised.mean() + gaps.mean())
    return EstimateFacts(
        value=min(1.0, max(0.0, value)),
        low=min(1.0, max(0.0, value - half)),
        high=min(1.0, max(0.0, value + half)),
        valid=True,
        reason="",
        reference=facts.score,
    )


def no_estimate(profile: Profile, reason: str) -> EstimateFacts:
    """Why there is none."""
    return EstimateFacts(
        value=None,
        low=None,
        high=None,
        valid=False,
        reason=reason,
        reference=profile.facts.score,
    )
