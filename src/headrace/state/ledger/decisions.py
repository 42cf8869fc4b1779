"""What is wrong with the recorded decisions, found from the ledger alone."""

from __future__ import annotations

import itertools
import operator
import re
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.records import GateResult
from headrace.state.ledger.rows import Evidence

if TYPE_CHECKING:
    from headrace.state.ledger import Ledger

_SIGNS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
_SIGN = re.compile(r" (>=|<=|>|<) ")


def doubts(ledger: Ledger, *models: str) -> list[str]:
    """Why `headrace verify` may fail, in sentences; none where all decisions fit.

    Raises:
        DependencyError: the ledger does not answer.
    """
    problem = ledger.glance()
    found = [f"The ledger is not as it was written: {problem}"] if problem else []
    for model in models:
        found += [wrong.text for wrong in wrong_verdicts(model, ledger)]
        found += earlier_dates(model, ledger)
    return found


class WrongVerdict(NamedTuple):
    """A gate that is recorded as passed, and that its own numbers fail."""

    evidence: Evidence
    text: str


def wrong_verdicts(model: str, ledger: Ledger) -> Iterator[WrongVerdict]:
    """The verdicts on a model's versions that contradict their numbers."""
    for evidence in ledger.evidence_of(model):
        failed = [gate.name for gate in evidence.gates if not gate.passed]
        if evidence.passed and failed:
            yield WrongVerdict(
                evidence,
                f"The evidence {evidence.id} of {model}/{evidence.version} is recorded "
                f"as passed, and its gate {failed[0]} as failed",
            )
        named = {str(row.get("name")) for row in _law_gates(evidence)}
        absent = named - {gate.name for gate in evidence.gates}
        if evidence.passed and absent:
            yield WrongVerdict(
                evidence,
                f"The evidence {evidence.id} of {model}/{evidence.version} is recorded "
                f"as passed, and has no verdict of the gate {min(absent)}",
            )
        for gate in evidence.gates:
            if gate.passed and (numbers := _contradiction(gate, evidence)):
                text = (
                    f"The gate {gate.name} of {model}/{evidence.version} is recorded "
                    f"as passed with {numbers} (evidence {evidence.id})"
                )
                yield WrongVerdict(evidence, text)


def _contradiction(gate: GateResult, evidence: Evidence) -> str:
    """The comparison that does not hold; empty if it does, or is not known."""
    sign = _SIGN.search(gate.compared)
    if sign and gate.value is not None and gate.threshold is not None:
        if not _SIGNS[sign[1]](gate.value, gate.threshold):
            return gate.compared
    for row in _law_gates(evidence):
        metric, bound = row.get("metric"), row.get("threshold")
        is_bound = not row.get("kind") and metric in evidence.metrics
        if row.get("name") != gate.name or not is_bound or bound is None:
            continue
        value = evidence.metrics[str(metric)]
        word = ">=" if row.get("direction") == "min" else "<="
        if value is None or not _SIGNS[word](value, bound):
            return f"{metric} {value} {word} {bound:g}"
    return ""


def _law_gates(evidence: Evidence) -> list[dict[str, Any]]:
    """The gates of the law that was applied; none where it is not known."""
    applied = evidence.law.get("applied")
    rows = applied.get("gates") if isinstance(applied, dict) else None
    rows = rows if isinstance(rows, list) else []
    return [row for row in rows if isinstance(row, dict)]


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
