"""The judgement of one window: drift, the estimate, labels, and what follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headrace.data.snapshots.reading import DIGEST
from headrace.display.signs import as_score, number_of
from headrace.monitoring.batches import Batch
from headrace.monitoring.bounds import Bound
from headrace.monitoring.comparison import (
    FEWEST_ITEMS,
    Comparison,
    compare,
    too_few,
)
from headrace.monitoring.estimate import estimate, no_estimate
from headrace.monitoring.evidence import judge_labels
from headrace.monitoring.history import WINDOWS, Scored
from headrace.monitoring.profiles import Profile
from headrace.monitoring.records import EstimateFacts, LabelFacts, Status, drifted
from headrace.tasks import task

NEEDED = 2  # of the last `WINDOWS` windows
_LEAST = 1e-6  # of a bound, and of its distance from the largest score
_ROOM = 2.0  # errors count up to this times their bound
# Where the accuracy is 0.8, 1 in 20 means of 50 labels keeps a bound of 0.9.
_ENOUGH_LABELS = 50
_ASK = "labels decide: label some of its items at random"
# By the test of labels, for a bound of 0.90.
_HOW_MANY = " (60 show a loss of ten points in half of the cases)"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a window showed.

    Attributes:
        labelled: by all labels so far; None where there is none.
        suspicious: whether it drifted with an estimated drop, or in its answers so that
            nothing can be estimated, to be kept; None where there were too few items.
        event: whether ``headrace.drift`` follows.
    """

    comparison: Comparison
    estimate: EstimateFacts
    labelled: LabelFacts | None
    status: Status
    reason: str
    suspicious: bool | None
    event: bool


def judge(
    profile: Profile,
    batch: Batch,
    bound: Bound,
    scores: Scored,
    earlier: Sequence[bool] = (),
) -> Judgement:
    """Judge a window.

    Args:
        profile: of the version.
        batch: of different items, by their marks; see `Batch.marked`.
        bound: that the mean score must keep.
        scores: of all labels of the version so far, in their order.
        earlier: which of the earlier windows were suspicious, the latest last.
    """
    labelled = _labelled(profile, bound, scores["score"]) if len(scores) else None
    if len(batch) < FEWEST_ITEMS:
        return _too_few(profile, batch, labelled)
    comparison = compare(profile, batch.columns, batch.outputs)
    estimated = estimate(profile, batch.outputs, comparison.answers)
    better = task(profile.facts.description.task).higher_is_better
    kept_by = _labels_that_keep(bound, batch, scores, better=better)
    is_drifted = bool(comparison.drifted())
    unknown = bool(drifted(comparison.answers)) and not estimated.valid
    dropped = is_drifted and estimated.shows_drop
    suspicious = (unknown or dropped) and not kept_by
    recent = [*earlier, suspicious][-WINDOWS:]
    again = suspicious and sum(recent) >= NEEDED
    status: Status = "warning" if is_drifted else "ok"
    reason = f"{comparison.in_words()} in {number_of(len(batch), 'items')}"
    reason += f"; {_estimated(estimated)}"
    if kept_by:
        reason += f"; {kept_by:,} labels of this window keep the bound"
    if suspicious:
        status = "drift"
        reason += f"; {_ASK}{_HOW_MANY if better else ''}"
    if again:
        windows = f"{sum(recent)} of the last {len(recent)} windows"
        reason = f"drift that may cost performance in {windows}; {reason}"
    lost = labelled is not None and labelled.lost
    if labelled is not None and lost:
        status, reason = "degraded", _broken(labelled)
    return Judgement(
        comparison, estimated, labelled, status, reason, suspicious, lost or again
    )


def _labelled(
    profile: Profile, bound: Bound, scores: npt.NDArray[np.float64]
) -> LabelFacts:
    """What the scores ``(n,)`` of all labels say about the bound."""
    better = task(profile.facts.description.task).higher_is_better
    largest = max(1.0, float(profile.scores.max()))  # of a ratio, rows may be above 1
    if not better:
        typical = float(np.quantile(profile.scores, 0.99))
        largest = max(_ROOM * bound.value, typical)
    facts = judge_labels(
        np.minimum(scores, largest),
        min(max(bound.value, _LEAST), largest - _LEAST),
        higher_is_better=better,
        largest=largest,
    )
    # Only the test and its interval need errors that are cut.
    update = {"bound": bound.value, "origin": bound.origin}
    if np.isfinite(scores).all():
        return facts.model_copy(update=update | {"score": float(scores.mean())})
    return facts.model_copy(update=update | {"lost": True})  # no mean keeps the bound


def _labels_that_keep(
    bound: Bound, batch: Batch, scores: Scored, *, better: bool
) -> int:
    """The number of labels of the window; 0 where they are few or break the bound."""
    marks = np.array([bytes.fromhex(mark) for mark in batch.items], DIGEST)
    own = scores["score"][np.isin(scores["mark"], marks)]
    if len(own) < _ENOUGH_LABELS:
        return 0
    mean = float(own.mean())
    is_kept = mean >= bound.value if better else mean <= bound.value
    return len(own) if is_kept else 0


def _too_few(profile: Profile, batch: Batch, labelled: LabelFacts | None) -> Judgement:
    """The judgement of too few items, by labels alone."""
    status: Status = "too few"
    reason = too_few(len(batch))
    if batch.own:
        reason += (
            f"; {batch.own:,} others are known to the version: they are in the data "
            "that it was trained or evaluated on"
        )
    nothing, unknown = Comparison((), ()), no_estimate(profile, reason)
    lost = labelled is not None and labelled.lost
    if labelled is not None and lost:
        status, reason = "degraded", _broken(labelled)
    return Judgement(nothing, unknown, labelled, status, reason, None, lost)


def _broken(labelled: LabelFacts) -> str:
    verb = "shows" if labelled.labels == 1 else "show"
    return (
        f"{number_of(labelled.labels, 'labels')} {verb} a mean score that breaks the "
        f"bound {labelled.bound:g} ({as_score(labelled.score)}, evidence "
        f"{labelled.e_value:.3g})"
    )


def _estimated(estimate: EstimateFacts) -> str:
    if not estimate.valid:
        return f"the performance cannot be estimated: {estimate.reason}"
    return (
        f"the score is estimated as {as_score(estimate.value)} "
        f"({as_score(estimate.low)} to {as_score(estimate.high)})"
    )
