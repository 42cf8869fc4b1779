"""Whether the verdict of a gate follows from what is recorded with it.

A gate that passed is judged again: from its value, from the law that was applied, and
from the metrics of its evidence. Its own text of what was compared is believed only of
a kind from a package, of which no more is known.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from headrace.extensions import modules, task_default
from headrace.records import DEFAULT_TASK, SERVING_TOLERANCE, GateResult
from headrace.spec.law import overridden
from headrace.state.ledger.rows import Evidence

_SIGNS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
_SIGN = re.compile(r" (>=|<=|>|<) ")
_BY_DIRECTION, _BY_TASK = "direction", "task"

Row = Mapping[str, Any]


class _Kind(NamedTuple):
    """What a kind of gate compares, as far as the record has it.

    Attributes:
        arguments: those that may be its threshold; else it is that of its row.
        sign: of the comparison, or what it follows from.
        metric: its value; empty where that follows from rows alone.
        may_lack: whether it may pass with nothing to compare.
    """

    arguments: tuple[str, ...] = ()
    sign: str = "<="
    metric: str = ""
    may_lack: bool = False


_KINDS = {
    "": _Kind(sign=_BY_DIRECTION),
    "fairness": _Kind(("gap",), may_lack=True),
    "robustness": _Kind(("score", "drop"), _BY_TASK),
    "shortcut": _Kind(may_lack=True),
    "weak_slice": _Kind(metric="weak_slice_loss"),
    "membership": _Kind(metric="membership_auc_high"),
    "ratio": _Kind(sign=_BY_DIRECTION),
}


def law_gates(evidence: Evidence) -> list[Row]:
    """The gates of the law that was applied; none where it is not known."""
    applied = evidence.law.get("applied")
    rows = applied.get("gates") if isinstance(applied, dict) else None
    rows = rows if isinstance(rows, list) else []
    return [row for row in rows if isinstance(row, dict)]


def missing_gate(evidence: Evidence) -> str:
    """A gate of the law without a verdict, or the serving gate; empty if none is."""
    named = {str(row.get("name")) for row in law_gates(evidence)}
    wanted = {*named, "serving"} - {gate.name for gate in evidence.gates}
    return min(wanted, default="")


def hidden_overrides(evidence: Evidence) -> str:
    """The fields in which the laws of evidence differ, if it names other ones.

    Returns:
        empty if the record names the same ones, or has not both laws.
    """
    committed, applied = (evidence.law.get(one) for one in ("committed", "applied"))
    if not (committed and applied):
        return ""
    try:
        fields = overridden(committed, applied)
    except (AttributeError, IndexError, KeyError, TypeError):
        return "fields that cannot be read"
    return "" if fields == evidence.overrides else ", ".join(fields) or "none"


def contradiction(gate: GateResult, evidence: Evidence) -> str:
    """What does not hold, does not fit or is not there for a gate that passed.

    Returns:
        the numbers, to follow "passed with"; empty if all holds, or is not known.
    """
    row = next((r for r in law_gates(evidence) if r.get("name") == gate.name), None)
    return _judged(gate, row, evidence) or _other_value(gate, row or {}, evidence)


def _judged(gate: GateResult, row: Row | None, evidence: Evidence) -> str:
    """What speaks against a gate by the rule of its kind."""
    if gate.name == "serving":  # which no law may name
        other = _other_bound(gate, SERVING_TOLERANCE, "the serving gate")
        return other or _against(gate, "<=", SERVING_TOLERANCE)
    if row and gate.name == "champion":
        return _of_champion(gate, row, evidence) or _of_no_items(gate, row, evidence)
    if row and str(row.get("kind") or "") in _KINDS:
        return _of_kind(gate, row, evidence)
    return _by_its_words(gate)


def _of_kind(gate: GateResult, row: Row, evidence: Evidence) -> str:
    """Hold a value against the bound of the law, which must be the recorded one."""
    kind, arguments = _KINDS[str(row.get("kind") or "")], _arguments(row)
    if kind.sign == _BY_DIRECTION and row.get("direction") not in ("min", "max"):
        return f"the direction {row.get('direction')!r:.20} of its law"
    may_lack = kind.may_lack and arguments.get("cannot_tell", "pass") == "pass"
    if not (may_lack and gate.value is None and gate.threshold is not None):
        sign = _sign_of(row, kind, evidence)
        if problem := _against(gate, sign, gate.threshold):
            return problem
    stated = (_number(arguments.get(name)) for name in kind.arguments)
    bound = _number(row.get("threshold"))
    bound = next((one for one in stated if one is not None), bound)
    return "" if bound is None else _other_bound(gate, bound, "its law")


def _other_bound(gate: GateResult, bound: float, whose: str) -> str:
    if gate.threshold in (None, bound):
        return ""
    return f"the threshold {gate.threshold:g}, and {whose} has {bound:g}"


def _against(gate: GateResult, sign: str, bound: float | None) -> str:
    """How a value does not keep a bound; not held against one without a sign."""
    if gate.value is None or bound is None:
        lacks = "value" if gate.value is None else "threshold"
        return f"no {lacks} on record"
    if not math.isfinite(gate.value) or (sign and not _SIGNS[sign](gate.value, bound)):
        return f"{gate.value:.4g} {sign} {bound:.4g}"
    return ""


def _by_its_words(gate: GateResult) -> str:
    sign = _SIGN.search(gate.compared)
    if not sign or gate.value is None or gate.threshold is None:
        return ""
    return gate.compared if _against(gate, sign[1], gate.threshold) else ""


def _of_champion(gate: GateResult, row: Row, evidence: Evidence) -> str:
    """Judge by the rule that its threshold names: see `headrace.gates.champion`."""
    level, margin = _number(row.get("threshold")), _number(row.get("margin"))
    gain = _number(_arguments(row).get("gain")) or 0.0
    if level is None or margin is None:
        return _by_its_words(gate)
    if gate.value is None or gate.threshold is None or gate.p_value is None:
        is_first = evidence.champion_version is None and gate.value is None
        return "" if is_first else "no comparison with the champion on record"
    if margin and gate.threshold == -margin:  # no worse on new items
        return _against(gate, ">", -margin)
    significant = gate.model_copy(update={"value": gate.p_value})
    if gain and gate.threshold == gain:
        return _against(gate, ">", gain) or _against(significant, "<", level)
    if gain or gate.value != gate.p_value or gate.threshold > level:
        return f"the threshold {gate.threshold:g}, and its law has {gain or level:g}"
    return _against(gate, "<", gate.threshold)


def _of_no_items(gate: GateResult, row: Row, evidence: Evidence) -> str:
    """How a comparison with the champion was of no items; empty if it was of some."""
    margin = _number(row.get("margin")) or 0.0
    items = "new_items" if margin and gate.threshold == -margin else "compared_items"
    if gate.value is None or (evidence.metrics.get(items) or 0.0) > 0:
        return ""
    return f"no {items.replace('_', ' ')} on record"


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) else None


def _arguments(row: Row) -> Row:
    arguments = row.get("arguments")
    return arguments if isinstance(arguments, dict) else {}


def _sign_of(row: Row, kind: _Kind, evidence: Evidence) -> str:
    """The sign of what is compared; empty if it is of a task that is not installed."""
    is_least = row.get("direction") == "min"
    if kind.sign == _BY_TASK:
        name = str(evidence.law["applied"].get("task", DEFAULT_TASK))
        if _number(_arguments(row).get("drop")) is not None:
            return "<="
        if name not in modules("tasks"):
            return ""
        is_least = bool(task_default(name, "HIGHER_IS_BETTER"))
    elif kind.sign != _BY_DIRECTION:
        return kind.sign
    return ">=" if is_least else "<="


def _other_value(gate: GateResult, row: Row, evidence: Evidence) -> str:
    """How a gate's value differs from the metric that it is; empty if it does not."""
    kind, metrics = str(row.get("kind") or ""), evidence.metrics
    value, name = gate.value, str(row.get("metric")) if row else ""
    if gate.name == "serving":
        name = "serving_difference"
    elif gate.name == "champion":
        value, name = gate.p_value, "champion_p_value"
    elif kind and kind != "ratio":
        name = _KINDS[kind].metric if kind in _KINDS else ""
    measured = metrics.get(name)
    if kind == "ratio":
        to = str(_arguments(row).get("to"))
        own, other = measured, metrics.get(to)
        measured = own / other if own is not None and other else None
        name = f"{name} / {to}"
    if value is None or not name:
        return ""
    if measured is None:
        is_slice = "/" in name.replace(" / ", "")  # whose metrics are not recorded
        lacks = f"{value:.4g}, and its evidence has no {name}"
        return "" if is_slice else lacks
    if math.isclose(value, measured):
        return ""
    return f"{value:.4g}, and its evidence has {name} {measured:.4g}"
