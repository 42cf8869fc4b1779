"""The judgement of one window: drift, the estimate, labels, and what follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from headrace.data.snapshots.reading import DIGEST
from headrace.display.signs import as_score, number_of
from headrace.media.forms import Columns
from headrace.monitoring.batches import Batch
from headrace.monitoring.bounds import Bound
from headrace.monitoring.drift.comparison import (
    ALPHA,
    FEWEST_ITEMS,
    Comparison,
    compare,
)
from headrace.monitoring.drift.estimate import Estimate, estimate
from headrace.monitoring.drift.labels import LabelEvidence, judge_labels
from headrace.monitoring.drift.profile import Profile
from headrace.monitoring.drift.verdict import DriftVerdict, Sign, judge_window
from headrace.monitoring.history import Scored
from headrace.monitoring.records import Status
from headrace.tasks import task
from headrace.tasks.forms import Outputs

_LEAST = 1e-6  # of a bound, and of its distance from the largest score
_ROOM = 2.0  # errors count up to this times their bound
# Where the accuracy is 0.8, 1 in 20 means of 50 labels keeps a bound of 0.9.
_ENOUGH_LABELS = 50


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
class ShadowWindow:
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
    shadow: ShadowWindow | None = None,
) -> Judgement:
    """Judge a window.

    Args:
        profile: of the version.
        batch: of different items, by their marks; see `Batch.marked`.
        bound: that the mean score must keep.
        scores: of all labels of the version so far, in their order.
        earlier: signs of earlier windows, the latest last.
        shadow: a second version, if one ran.
    """
    evidence = _evidence(profile, bound, scores["score"]) if len(scores) else None
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
    kept_by = _labels_that_keep(bound, batch, scores, better=_is_better(profile))
    verdict = judge_window(comparison, estimated, evidence, earlier, kept_by=kept_by)
    return Judgement(
        comparison,
        estimated,
        evidence,
        _status(verdict, comparison),
        verdict.reason,
        verdict.sign,
        verdict.emit,
    )


def _is_better(profile: Profile) -> bool:
    """Whether a higher score is better."""
    return task(profile.facts.description.task).higher_is_better


def _evidence(
    profile: Profile, bound: Bound, scores: npt.NDArray[np.float64]
) -> LabelEvidence:
    """What the scores ``(n,)`` of all labels say about the bound."""
    better = _is_better(profile)
    largest = max(1.0, float(profile.scores.max()))  # of a ratio, rows may be above 1
    if not better:
        typical = float(np.quantile(profile.scores, 0.99))
        largest = max(_ROOM * bound.value, typical)
    evidence = judge_labels(
        np.minimum(scores, largest),
        min(max(bound.value, _LEAST), largest - _LEAST),
        higher_is_better=better,
        largest=largest,
    )
    # Only the test and its interval need errors that are cut.
    if not np.isfinite(scores).all():  # no mean keeps the bound
        return evidence.model_copy(update={"lost": True})
    mean = float(scores.mean()) if len(scores) else None
    return evidence.model_copy(update={"score": mean})


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


def _too_few(batch: Batch, evidence: LabelEvidence | None, bound: Bound) -> Judgement:
    """The judgement of too few items, by labels alone."""
    count = number_of(len(batch), "different items")
    verb = "is" if len(batch) == 1 else "are"
    reason = f"{count} {verb} too few to test: {FEWEST_ITEMS} are needed"
    if batch.own:
        reason += (
            f"; {batch.own:,} others are known to the version: they are in the data "
            "that it was trained or evaluated on"
        )
    nothing = Estimate(reason=reason, distance=0, limit=0)
    comparison = Comparison(items=len(batch), alpha=ALPHA, tests=())
    status: Status = "too few"
    if evidence is not None and evidence.lost:
        status = "degraded"
        reason = (
            f"by {number_of(evidence.labels, 'labels')} the score is "
            f"{as_score(evidence.score)}: worse than {as_score(bound.value)}, "
            f"{bound.origin}"
        )
    lost = status == "degraded"
    return Judgement(comparison, nothing, evidence, status, reason, None, lost)


def _status(verdict: DriftVerdict, comparison: Comparison) -> Status:
    if verdict.level == "lost":
        return "degraded"
    if verdict.level == "suspected":
        return "drift"
    if not comparison.drifted():
        return "ok"
    return "drift" if verdict.sign.drop else "warning"


def comparable_columns(columns: Columns, profile: Profile) -> Columns:
    """The columns that the profile has too, of its types and without missing values."""
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
