"""The record of a judgement."""

from __future__ import annotations

from headrace.monitoring.batches import Batch
from headrace.monitoring.bounds import Bound
from headrace.monitoring.drift.agreement import same_answers
from headrace.monitoring.drift.profile import Profile
from headrace.monitoring.judging import Judgement
from headrace.monitoring.records import (
    EstimateFacts,
    LabelFacts,
    MonitorRecord,
    Shift,
    WindowFacts,
)
from headrace.state.ledger import Version
from headrace.tasks import task


def record_of(
    version: Version,
    batch: Batch,
    judged: Judgement,
    profile: Profile,
    window: WindowFacts,
    labelled: LabelFacts | None,
) -> MonitorRecord:
    """The record of a judgement."""
    estimated, data = judged.estimate, profile.facts.description
    shares = {
        number: same_answers(data, batch.outputs, outputs)
        for number, outputs in batch.shadows.items()
    }
    return MonitorRecord(
        model=version.model,
        version=version.version,
        status=judged.status,
        reason=judged.reason,
        score=task(data.task).score,
        rows=len(batch),
        window=window,
        inputs=_shifts(judged, "inputs"),
        answers=_shifts(judged, "answers"),
        estimate=EstimateFacts(
            value=estimated.value,
            low=estimated.low,
            high=estimated.high,
            valid=estimated.value is not None,
            reason=estimated.reason,
            reference=profile.facts.score,
            agreement=estimated.agreement,
        ),
        labelled=labelled,
        shadows={n: share for n, share in shares.items() if share is not None},
        event=judged.event,
        notes=batch.notes,
    )


def _shifts(judged: Judgement, subject: str) -> tuple[Shift, ...]:
    return tuple(
        Shift(
            column=test.name,
            p_value=test.adjusted,
            effect=test.effect,
            severity=test.severity,
            reference=test.reference,
            window=test.window,
        )
        for test in judged.comparison.tests
        if test.subject == subject
    )


def window_facts(batch: Batch, rows: int, repeats: int) -> WindowFacts:
    """The facts on a window of different items.

    Args:
        batch: the items.
        rows: that were read.
        repeats: rows that were left out since their items repeat.
    """
    return WindowFacts(
        source=batch.source,
        first=batch.first.isoformat() if batch.first else None,
        last=batch.last.isoformat() if batch.last else None,
        rows=rows,
        items=len(batch),
        repeats=repeats,
        own=batch.own,
        failed=batch.failed,
    )


def label_facts(judged: Judgement, bound: Bound, new: int) -> LabelFacts | None:
    """The facts on all labels so far, ``new`` of which are of this report."""
    evidence = judged.evidence
    if evidence is None:
        return None
    return LabelFacts(
        labels=evidence.labels,
        new=new,
        score=evidence.score,
        low=evidence.low,
        high=evidence.high,
        bound=bound.value,
        origin=bound.origin,
        e_value=evidence.e_value,
        lost=evidence.lost,
    )
