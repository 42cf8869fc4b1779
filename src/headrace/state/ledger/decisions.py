"""What is wrong with the recorded decisions, found from the ledger alone."""

from __future__ import annotations

import itertools
import math
import operator
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.records import GateResult
from headrace.state.ledger.rows import Evidence

if TYPE_CHECKING:
    from headrace.state.ledger import Ledger

_SIGNS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
_SIGN = re.compile(r" (>=|<=|>|<) ")


class _Kind(NamedTuple):
    """What a kind of gate compares, as far as the record has it.

    Attributes:
        arguments: those that may be its threshold; else it is that of its row.
        sign: of the comparison; empty if that depends.
        metric: its value; empty where that follows from rows alone.
    """

    arguments: tuple[str, ...] = ()
    sign: str = "<="
    metric: str = ""


_KINDS = {
    "fairness": _Kind(("gap",)),
    "robustness": _Kind(("score", "drop"), ""),
    "shortcut": _Kind(),
    "weak_slice": _Kind(metric="weak_slice_loss"),
    "membership": _Kind(metric="membership_auc_high"),
    "ratio": _Kind(sign=""),
}


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
    """What does not hold or fit; empty if all does, or is not known."""
    row = next((r for r in _law_gates(evidence) if r.get("name") == gate.name), {})
    known = _KINDS.get(str(row.get("kind", "")))
    word = known.sign if known else ""
    if not word and (sign := _SIGN.search(gate.compared)):
        word = sign[1]
    if word and gate.value is not None and gate.threshold is not None:
        if not _SIGNS[word](gate.value, gate.threshold):
            return gate.compared or f"{gate.value:.4g} {word} {gate.threshold:.4g}"
    bound = _bound_of(gate, row)
    if None not in (bound, gate.threshold) and gate.threshold != bound:
        return f"the threshold {gate.threshold:g}, and its law has {bound:g}"
    if value := _other_value(gate, row, evidence):
        return value
    metric, word = str(row.get("metric")), _word(row)
    if row.get("kind") or bound is None or metric not in evidence.metrics:
        return ""
    measured = evidence.metrics[metric]
    if measured is None or not _SIGNS[word](measured, bound):
        return f"{metric} {measured} {word} {bound:g}"
    return ""


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) else None


def _arguments(row: Mapping[str, Any]) -> Mapping[str, Any]:
    arguments = row.get("arguments")
    return arguments if isinstance(arguments, dict) else {}


def _word(row: Mapping[str, Any]) -> str:
    return ">=" if row.get("direction") == "min" else "<="


def _bound_of(gate: GateResult, row: Mapping[str, Any]) -> float | None:
    """The threshold that the law states for what was compared; None if none is."""
    kind, arguments = str(row.get("kind", "")), _arguments(row)
    bound = _number(row.get("threshold"))
    if gate.kind == "champion":
        if gate.compared.startswith("lowest difference"):
            margin = _number(row.get("margin"))
            return None if margin is None else -margin
        if bound is not None and gate.compared.startswith("p(better)"):
            level = gate.threshold  # the attempt's share of it
            return bound if level is None or level > bound else level
        return None
    if known := _KINDS.get(kind):
        stated = (_number(arguments.get(name)) for name in known.arguments)
        return next((one for one in stated if one is not None), bound)
    return None if kind else bound


def _other_value(gate: GateResult, row: Mapping[str, Any], evidence: Evidence) -> str:
    """How a gate's value differs from the metric that it is; empty if it does not."""
    kind, metrics = str(row.get("kind", "")), evidence.metrics
    value, name = gate.value, str(row.get("metric"))
    if gate.kind == "serving":
        name = "serving_difference"
    elif gate.kind == "champion":
        value, name = gate.p_value, "champion_p_value"
    elif kind:
        name = _KINDS[kind].metric if kind in _KINDS else ""
    measured = metrics.get(name)
    if kind == "ratio":
        name, to = str(row.get("metric")), str(_arguments(row).get("to"))
        own, other = metrics.get(name), metrics.get(to)
        measured = own / other if own is not None and other else None
        name = f"{name} / {to}"
    if value is None or measured is None or math.isclose(value, measured):
        return ""
    return f"{value:.4g}, and its evidence has {name} {measured:.4g}"


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
