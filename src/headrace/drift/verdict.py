"""What follows from a window: nothing, a warning, or an event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from headrace.drift.comparison import Comparison
from headrace.drift.estimate import Estimate
from headrace.drift.labels import LabelEvidence
from headrace.records import Record

Level = Literal["none", "warning", "suspected", "lost"]
WINDOWS, NEEDED = 3, 2


class Sign(Record):
    """What one window showed, as kept for the judgement of the next ones.

    Attributes:
        answers_drifted, inputs_drifted: significantly.
        drop: an estimated drop, or that the ladder's rungs at least as far all lost.
    """

    inputs_drifted: bool
    answers_drifted: bool
    drop: bool


class Verdict(Record):
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
) -> Verdict:
    """Judge a window.

    Args:
        comparison, estimate: of the window.
        labels: of all labels so far, or None.
        earlier: signs of earlier windows of this version, the latest last.
    """
    raise NotImplementedError
