"""The record of a judgement."""

from __future__ import annotations

import numpy as np

from headrace.drift.profile import Profile
from headrace.state.ledger import Version
from headrace.tasks import task
from headrace.use.monitoring.batches import Batch
from headrace.use.monitoring.bounds import Bound
from headrace.use.monitoring.judging import Judgement
from headrace.use.monitoring.records import (
    EstimateFacts,
    LabelFacts,
    MonitorRecord,
    Shift,
    WindowFacts,
)


def record_of(
    version: Version,
    batch: Batch,
    judged: Judgement,
    profile: Profile,
    window: WindowFacts,
    labelled: LabelFacts | None,
) -> MonitorRecord:
    """The record of a judgement."""
    estimated = judged.estimate
    return MonitorRecord(
        model=version.model,
        version=version.version,
        status=judged.status,
        reason=judged.reason,
        score=task(profile.facts.description.task).score,
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
        shadows=_agreements(batch, profile),
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


def _agreements(batch: Batch, profile: Profile) -> dict[int, float]:
    """The share of items to which a shadow gives the same answer, by its version."""
    data, shares = profile.facts.description, dict[int, float]()
    answers = task(data.task).answers
    for number, outputs in batch.shadows.items():
        both = np.isfinite(outputs).all(axis=1)
        if both.any():
            own = answers.answers(batch.outputs[both], data)
            other = answers.answers(outputs[both], data)
            pairs = zip(own, other, strict=True)
            shares[number] = float(np.mean([one == two for one, two in pairs]))
    return shares
