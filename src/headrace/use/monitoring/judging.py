"""The judgement of one window: drift, the estimate, labels, and what follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from headrace.drift.comparison import ALPHA, FEWEST_ITEMS, Comparison, compare
from headrace.drift.estimate import Estimate, estimate
from headrace.drift.labels import LabelEvidence, judge_labels
from headrace.drift.profile import Profile
from headrace.drift.verdict import Sign, Verdict, judge_window
from headrace.media.forms import Columns
from headrace.tasks import task
from headrace.tasks.forms import Outputs
from headrace.use.monitoring.batches import Batch
from headrace.use.monitoring.bounds import Bound
from headrace.use.monitoring.history import Scored
from headrace.use.monitoring.records import Status

_LEAST = 1e-6  # of a bound, and of its distance from the largest score
_ROOM = 2.0  # errors count up to this times their bound


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a window showed.

    Attributes:
        evidence: of all labels so far; None where there is none.
        sign: to be kept; None where there were too few items.
        event: whether ``headrace.drift`` follows.
    """

    comparison: Comparison
    estimate: Estimate
    evidence: LabelEvidence | None
    status: Status
    reason: str
    sign: Sign | None
    event: bool


@dataclass(frozen=True, slots=True)
class Shadow:
    """A second version that answered the same items.

    Attributes:
        profile: of it.
        outputs: ``(n, ...)``, NaN where it did not answer.
    """

    profile: Profile
    outputs: Outputs


def judge(
    profile: Profile,
    batch: Batch,
    bound: Bound,
    scores: Scored,
    earlier: Sequence[Sign] = (),
    shadow: Shadow | None = None,
) -> Judgement:
    """Judge a window.

    Args:
        profile: of the version.
        batch: of different items.
        bound: that the mean score must keep.
        scores: of all labels of the version so far, in their order.
        earlier: signs of earlier windows, the latest last.
        shadow: a second version, if one ran.
    """
    better = task(profile.facts.description.task).higher_is_better
    evidence = None
    if len(scores):
        largest = 1.0
        if not better:
            typical = float(np.quantile(profile.scores, 0.99))
            largest = max(_ROOM * bound.value, typical)
        evidence = judge_labels(
            np.minimum(scores["score"], largest),
            min(max(bound.value, _LEAST), largest - _LEAST),
            higher_is_better=better,
            largest=largest,
        )
    if len(batch) < FEWEST_ITEMS:
        return _too_few(batch, evidence, bound)
    window = replace(batch, columns=comparable_columns(batch.columns, profile)).window()
    comparison = compare(profile, window)
    estimated = estimate(
        profile,
        window,
        shadow=shadow.profile if shadow else None,
        shadow_outputs=shadow.outputs if shadow else None,
    )
    verdict = judge_window(comparison, estimated, evidence, earlier)
    is_below = _is_beyond(estimated, bound, better)
    status = _status(verdict, comparison, is_below=is_below)
    reason = verdict.reason
    if is_below and verdict.level != "lost":
        reason = (
            f"without labels the score is estimated at {estimated.value:.4g} "
            f"({estimated.low:.4g} to {estimated.high:.4g}), all of it "
            f"{'below' if better else 'above'} {bound.value:.4g}, {bound.origin}"
        )
    event = verdict.emit or is_below
    return Judgement(
        comparison, estimated, evidence, status, reason, verdict.sign, event
    )


def _too_few(batch: Batch, evidence: LabelEvidence | None, bound: Bound) -> Judgement:
    """The judgement of too few items, by labels alone."""
    reason = (
        f"{len(batch):,} different items are too few to test: {FEWEST_ITEMS} are needed"
    )
    if batch.own:
        reason += (
            f"; {batch.own:,} others are known to the version: they are in the data "
            "that it was trained or evaluated on"
        )
    nothing = Estimate(reason=reason, distance=0, limit=0)
    comparison = Comparison(items=len(batch), repeats=0, alpha=ALPHA, tests=())
    status: Status = "too few"
    if evidence is not None and evidence.lost:
        status = "degraded"
        reason = (
            f"by {evidence.labels:,} labels the score is {evidence.score:.4g}: worse "
            f"than {bound.value:.4g}, {bound.origin}"
        )
    lost = status == "degraded"
    return Judgement(comparison, nothing, evidence, status, reason, None, lost)


def _status(verdict: Verdict, comparison: Comparison, *, is_below: bool) -> Status:
    if verdict.level == "lost" or is_below:
        return "degraded"
    if verdict.level == "suspected":
        return "drift"
    if not comparison.drifted():
        return "ok"
    return "drift" if verdict.sign.drop else "warning"


def _is_beyond(estimated: Estimate, bound: Bound, better: bool) -> bool:
    """Whether the whole interval of a valid estimate is worse than the bound."""
    if estimated.value is None or estimated.low is None or estimated.high is None:
        return False
    return estimated.high < bound.value if better else estimated.low > bound.value


def comparable_columns(columns: Columns, profile: Profile) -> Columns:
    """The columns that the profile has too, of its types and without missing values.

    Files of a log that were written by an older server may lack a column.
    """
    same: Columns = {}
    for name, reference in profile.columns.items():
        values = columns.get(name)
        if values is None:
            continue
        if values.dtype.kind == "f" and np.isnan(values).any():
            if reference.dtype.kind == "b" or not np.isnan(reference).any():
                continue
        same[name] = values.astype(reference.dtype, copy=False)
    return same
