"""The result of monitoring, as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from headrace.records import Record

Status = Literal["ok", "warning", "drift", "degraded", "too few"]
Severity = Literal["none", "slight", "clear", "strong"]


class WindowFacts(Record):
    """The rows that were judged.

    Attributes:
        source: the data's URI, or ``log``.
        first, last: times of the requests, ISO 8601, UTC; None for data.
        rows: rows that were read.
        items: different items among them, which were tested.
        repeats: rows left out since their item is in another row.
        own: rows left out since the version knows their items: it learned from them, or
            they are in its reference.
        failed: items that could not be decoded.
    """

    source: str
    first: str | None = None
    last: str | None = None
    rows: int
    items: int
    repeats: int = 0
    own: int = 0
    failed: int = 0


class Shift(Record):
    """One test of one column of inputs or answers.

    Attributes:
        column: such as ``mean`` or ``probability of 3``; with ``not finite``, the share
            of such values.
        p_value: after Holm's correction for all tests of inputs and answers.
        effect: 0..1, the difference of the distributions.
        severity: none, slight, clear or strong, in words by the effect.
        reference, window: medians, or shares of a flag.
    """

    column: str
    p_value: float
    effect: float
    severity: Severity
    reference: float
    window: float


def drifted(shifts: Iterable[Shift]) -> tuple[Shift, ...]:
    """The significant ones of some tests, the largest effect first."""
    significant = [shift for shift in shifts if shift.severity != "none"]
    return tuple(sorted(significant, key=lambda shift: -shift.effect))


class EstimateFacts(Record):
    """Performance without labels.

    Attributes:
        value, low, high: of the mean score; None where it cannot be estimated.
        valid: whether it can be.
        reason: why not; empty where it is valid.
        reference: the mean score on the held-out rows.
    """

    value: float | None
    low: float | None
    high: float | None
    valid: bool
    reason: str
    reference: float

    @property
    def shows_drop(self) -> bool:
        """Whether the interval lies below the score of the reference."""
        return self.high is not None and self.high < self.reference


class LabelFacts(Record):
    """Performance with labels.

    Attributes:
        labels: all of the version so far, each item once.
        new: of them, those that this report has added.
        score: their mean; None without labels.
        low, high: an interval that holds at all times together; None likewise.
        bound: that the mean score must keep, and ``origin``, where it is from.
        e_value: the evidence that it is broken; 1 is none.
        lost: whether it ever reached the level of a proof.
    """

    labels: int
    new: int = 0
    score: float | None
    low: float | None
    high: float | None
    bound: float
    origin: str = ""
    e_value: float
    lost: bool


class MonitorRecord(Record):
    """The report on one window of a version.

    Attributes:
        status: ``degraded``: performance below its bound is shown; ``drift``: something
            drifted, and a drop is estimated, or the answers drifted, so that nothing
            can be estimated; ``warning``: something drifted; ``ok``; ``too few``: items
            to test.
        score: the name of the task's score, such as ``accuracy``.
        rows: items that were tested.
        inputs, answers: the tests, the largest effect first.
        event: whether ``headrace.drift`` follows.
        run_id, experiment_id: of MLflow; None where nothing was logged.
        links: pages of the report.
        notes: on the rows.
    """

    model: str
    version: int
    status: Status
    reason: str
    score: str
    rows: int
    window: WindowFacts
    inputs: tuple[Shift, ...] = ()
    answers: tuple[Shift, ...] = ()
    estimate: EstimateFacts
    labelled: LabelFacts | None = None
    event: bool = False
    run_id: str | None = None
    experiment_id: str | None = None
    links: Mapping[str, str] = {}
    notes: tuple[str, ...] = ()

    @property
    def drifted(self) -> tuple[Shift, ...]:
        """The significant tests of inputs and answers, the largest effect first."""
        return drifted((*self.inputs, *self.answers))

    @property
    def metrics(self) -> dict[str, float]:
        """The numbers to log."""
        values: dict[str, float | None] = {
            "rows": self.rows,
            "drifted_inputs": len(drifted(self.inputs)),
            "drifted_answers": len(drifted(self.answers)),
            "largest_effect_inputs": max((t.effect for t in self.inputs), default=None),
            "largest_effect_answers": max(
                (t.effect for t in self.answers), default=None
            ),
            f"estimated_{self.score}": self.estimate.value,
            f"estimated_{self.score}_low": self.estimate.low,
            f"estimated_{self.score}_high": self.estimate.high,
            "event": float(self.event),
        }
        if self.labelled is not None:
            values |= {
                f"labelled_{self.score}": self.labelled.score,
                "labels": self.labelled.labels,
            }
        return {k: float(v) for k, v in values.items() if v is not None}

    def answer(self) -> dict[str, Any]:
        """The JSON object of the command."""
        return self.model_dump(mode="json")
