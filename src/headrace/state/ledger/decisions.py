"""What is wrong with the recorded decisions, found from the ledger alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from headrace.state.ledger.rows import Evidence
from headrace.state.ledger.verdicts import (
    contradiction,
    hidden_overrides,
    law_gates,
    missing_gate,
)

if TYPE_CHECKING:
    from headrace.state.ledger import Ledger
    from headrace.state.ledger.seals import Seals


def doubts(ledger: Ledger, *models: str, seals: Seals | None = None) -> list[str]:
    """Why `headrace verify` may fail, in sentences; none where all decisions fit.

    Args:
        ledger: all of its rows beside digests of files are read, unless it is long.
        models: whose decisions are looked at.
        seals: of a long ledger; then what was checked before is not read again, but for
            the rows of a model that is alone. It is read as a short one where there is
            no seal, and none can be kept.

    Raises:
        DependencyError: the ledger does not answer.
    """
    seal = seals.read(ledger) if seals else None
    if seals and ledger.is_long() and (seal or seals.can_be_kept):
        report, seal = seals.renewed(ledger, seal)
        told = seal.doubts if seal else {}
        problem = report.problem or ledger.find_unsigned_end()
        if not problem and len(models) == 1:
            problem = ledger.find_wrong_own(models[0], report)
        sentences = [one for model in models for one in told.get(model, ())]
    else:
        problem = ledger.glance()
        sentences = [one for model in models for one in doubts_of(model, ledger)]
    if problem:
        sentences.insert(0, f"The ledger is not as it was written: {problem}")
    return sentences


def doubts_of(model: str, ledger: Ledger) -> list[str]:
    """What does not fit in the recorded decisions on one model."""
    wrong = [wrong.text for wrong in wrong_verdicts(model, ledger)]
    return [*wrong, *earlier_dates(model, ledger)]


class WrongVerdict(NamedTuple):
    """A gate that is recorded as passed, and that its own numbers fail."""

    evidence: Evidence
    text: str


def wrong_verdicts(model: str, ledger: Ledger) -> Iterator[WrongVerdict]:
    """The verdicts on a model's versions that contradict their numbers."""
    for evidence in ledger.evidence_of(model):
        for text in _contradictions(evidence):
            yield WrongVerdict(evidence, text)
        for gate in evidence.gates:
            if gate.passed and (numbers := contradiction(gate, evidence)):
                text = (
                    f"The gate {gate.name} of {model}/{evidence.version} is recorded "
                    f"as passed with {numbers} (evidence {evidence.id})"
                )
                yield WrongVerdict(evidence, text)


def _contradictions(evidence: Evidence) -> Iterator[str]:
    """What in evidence does not fit its gates and its law, in sentences."""
    subject = f"{evidence.model}/{evidence.version}"
    head = f"The evidence {evidence.id} of {subject} is recorded"
    failed = [gate.name for gate in evidence.gates if not gate.passed]
    if evidence.passed and failed:
        yield f"{head} as passed, and its gate {failed[0]} as failed"
    if evidence.passed and not law_gates(evidence):
        yield f"{head} as passed, and has no gates of a law"
    if evidence.passed and (absent := missing_gate(evidence)):
        yield f"{head} as passed, and has no verdict of the gate {absent}"
    if fields := hidden_overrides(evidence):
        named = ", ".join(evidence.overrides) or "none"
        yield f"{head} with the overrides {named}, and its laws differ in {fields}"


def earlier_dates(model: str, ledger: Ledger) -> Iterator[str]:
    """The entries that are dated before the one above them.

    A clock that was set back does that as well.
    """
    entries = ledger.history(model)
    for entry in entries:
        if _moment(entry.when) is None:
            yield f"Entry {entry.sequence} of {model} has the date {entry.when!r:.60}"
    for before, entry in itertools.pairwise(entries):
        moments = _moment(before.when), _moment(entry.when)
        if moments[0] and moments[1] and moments[1] < moments[0]:
            yield (
                f"Entry {entry.sequence} of {model} is dated {entry.when}, before "
                f"entry {before.sequence} ({before.when})"
            )


def _moment(when: str) -> datetime | None:
    """The time of an entry; None where it is none with a zone."""
    try:
        moment = datetime.fromisoformat(when)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else None
