"""What follows from a window: nothing, a warning, or an event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from headrace.display.signs import as_score
from headrace.monitoring.drift.comparison import Comparison
from headrace.monitoring.drift.estimate import Estimate
from headrace.monitoring.drift.labels import LabelEvidence
from headrace.records import Record

Level = Literal["none", "warning", "suspected", "lost"]
WINDOWS, NEEDED = 3, 2


class Sign(Record):
    """What one window showed, as kept for the judgement of the next ones.

    Attributes:
        answers_drifted, inputs_drifted: significantly.
        drop: see `Estimate.likely_drop`; not where labels of the window show none.
    """

    inputs_drifted: bool
    answers_drifted: bool
    drop: bool

    @property
    def suspicious(self) -> bool:
        """Drift with a drop."""
        return self.drop and (self.inputs_drifted or self.answers_drifted)


class DriftVerdict(Record):
    """The judgement of a window.

    Attributes:
        level: none; warning (something drifted); suspected (drift in 2 of 3 windows
            with an estimated drop); lost (labels show it).
        emit: whether ``headrace.drift`` is emitted.
        reason: a sentence.
        sign: to be kept.
    """

    level: Level
    emit: bool
    reason: str
    sign: Sign


def judge_window(
    comparison: Comparison,
    estimate: Estimate,
    labels: LabelEvidence | None = None,
    earlier: Sequence[Sign] = (),
    *,
    kept_by: int = 0,
) -> DriftVerdict:
    """Judge a window.

    Args:
        comparison, estimate: of the window.
        labels: of all labels so far, or None.
        earlier: signs of earlier windows of this version, the latest last.
        kept_by: the number of labels of this window that show that the bound is kept,
            which outweighs an estimated drop; 0 where they do not show it.
    """
    sign = Sign(
        inputs_drifted=bool(comparison.drifted("inputs")),
        answers_drifted=bool(comparison.drifted("answers")),
        drop=estimate.likely_drop and not kept_by,
    )
    drifted = sign.inputs_drifted or sign.answers_drifted
    recent = [*earlier, sign][-WINDOWS:]
    suspicious = sum(one.suspicious for one in recent)
    if labels is not None and labels.lost:
        reason = (
            f"{labels.labels:,} labels show a mean score that breaks the bound "
            f"{labels.bound:g} ({as_score(labels.score)}, evidence "
            f"{labels.e_value:.3g})"
        )
        return DriftVerdict(level="lost", emit=True, reason=reason, sign=sign)
    if sign.suspicious and suspicious >= NEEDED:
        reason = (
            f"drift with an estimated drop in {suspicious} of the last "
            f"{len(recent)} windows; {comparison.in_words()}; {_estimated(estimate)}"
        )
        return DriftVerdict(level="suspected", emit=True, reason=reason, sign=sign)
    level: Level = "warning" if drifted else "none"
    reason = f"{comparison.in_words()}; {_estimated(estimate)}"
    if kept_by:
        reason += f"; {kept_by:,} labels of this window keep the bound"
    return DriftVerdict(level=level, emit=False, reason=reason, sign=sign)


def _estimated(estimate: Estimate) -> str:
    if estimate.value is None:
        return f"the performance cannot be estimated: {estimate.reason}"
    return (
        f"the score is estimated as {as_score(estimate.value)} "
        f"({as_score(estimate.low)} to {as_score(estimate.high)})"
    )
