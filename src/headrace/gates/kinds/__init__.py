"""Kinds of gates: bounds, and others, one a file, discovered by place or entry point.

A ``[[gates]]`` table names one of the others as ``kind``, with its ``arguments``. A
missing number never passes.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, cast

from headrace.display.signs import as_score
from headrace.errors import did_you_mean
from headrace.imports import extensions
from headrace.pipeline import GateSpec
from headrace.records import GateResult
from headrace.tasks.forms import Rated, Scores


def absolute_gate(gate: GateSpec, metrics: Mapping[str, float]) -> GateResult:
    """Compare one metric with its bound."""
    value, threshold = metrics.get(gate.metric), gate.threshold
    result = partial(GateResult, name=gate.name, threshold=threshold)
    if value is None or threshold is None or math.isnan(value):
        near = did_you_mean(gate.metric, metrics, "", cutoff=0.8)
        lack = f"there is no metric {gate.metric}. {near}".rstrip(". ")
        reason = lack if value is None else f"{gate.metric} is not a number"
        return result(passed=False, reason=reason)
    is_least = gate.direction == "min"
    enough = value >= threshold if is_least else value <= threshold
    word, sign = ("at least", ">=") if is_least else ("at most", "<=")
    is_finite = math.isfinite(value)
    shown = as_score(value, gate.metric)
    reason = f"{gate.metric} is {shown}; {word} {threshold:g} is needed"
    return result(
        passed=enough and is_finite,
        value=value if is_finite else None,
        reason="" if enough and is_finite else reason,
        compared=f"{shown} {sign} {threshold:g}",
    )


def serving_gate(difference: float | None, tolerance: float, error: str) -> GateResult:
    """Compare the answers of a clean process with those of the trained model."""
    passed = not error and difference is not None and difference <= tolerance
    reason = error or f"the answers of a clean process differ by up to {difference}"
    return GateResult(
        name="serving",
        passed=passed,
        value=difference,
        threshold=tolerance,
        kind="serving",
        reason="" if passed else reason,
        compared="" if difference is None else f"{difference:.4g} <= {tolerance:.4g}",
    )


class GateKind(Protocol):
    """What a module here gives, as its ``KIND``.

    It may have a method ``check(gate)``, called before anything is trained, which
    raises a `SpecError` where the fields of a gate do not fit.
    """

    def judge(self, gate: GateSpec, metrics: Mapping[str, float]) -> GateResult:
        """Whether a model passes, and why.

        Args:
            gate: with ``name``, ``metric``, ``direction``, ``threshold`` (None where
                the pipeline file gives none) and the kind's own ``arguments``.
            metrics: of the test split, and those of slices, such as
                ``class=spam/f1``. A value may be NaN or infinite, and must not pass.
        """


@dataclass(frozen=True, slots=True)
class JudgedRows:
    """The test rows as a gate compares them; an item counts once in its group.

    Attributes:
        score: the name of the task's score, such as ``accuracy``.
        scores: of each row, ``(n,)``: bool where it is right or wrong.
        weights: the denominators of the scores, ``(n,)``; None where all are 1.
        groups: of each row, ``(n,)``; empty where it has none.
        rate: another rate of the task by its name, of these rows; see
            `headrace.tasks.Judge.rate`.
        texts: that the model wrote, in tasks whose models write; for gates of packages.
    """

    score: str
    scores: Scores
    weights: Scores | None
    groups: Sequence[str]
    rate: Callable[[str], Rated | None] = lambda _: None
    texts: Sequence[str] = ()


class RowsKind(Protocol):
    """A kind that judges the scores of test rows, in place of metrics.

    Like a `GateKind`, it may have the method ``check``.
    """

    def judge_rows(self, gate: GateSpec, rows: JudgedRows) -> GateResult:
        """Whether a model passes, and why.

        Args:
            gate: as a `GateKind` gets it.
            rows: of the test split.
        """


def find_kind(name: str) -> GateKind | RowsKind:
    """The kind of a name.

    Raises:
        UsageError: it is of a package that is at fault.
    """
    kind: GateKind | RowsKind = extensions.load("gates", name).KIND
    return kind


def check_gate(gate: GateSpec) -> None:
    """Import the kind that a gate names, and have it check the gate's fields.

    Args:
        gate: names its kind.

    Raises:
        SpecError: the kind refuses them.
        UsageError: it is of a package that is at fault.
    """
    kind = find_kind(gate.kind)
    with extensions.blamed("gates", gate.kind):
        judge = getattr(kind, "judge_rows", None) or cast(GateKind, kind).judge
        inspect.signature(judge).bind(gate, {})
        getattr(kind, "check", lambda _: None)(gate)


def judge_gate(
    gate: GateSpec, metrics: Mapping[str, float], rows: JudgedRows | None = None
) -> GateResult:
    """Apply a gate: a bound on one metric, or the kind that it names.

    Args:
        gate: to apply.
        metrics: of the test split and of slices.
        rows: of the test split, which a `RowsKind` needs.

    Raises:
        UsageError: the kind is of a package that is at fault.
    """
    if not gate.kind:
        return absolute_gate(gate, metrics)
    kind = find_kind(gate.kind)
    with extensions.blamed("gates", gate.kind):
        judge_rows = getattr(kind, "judge_rows", None)
        if judge_rows is None:
            result = cast(GateKind, kind).judge(gate, metrics)
        elif rows is None:
            reason = "the scores of the rows are not known"
            result = GateResult(name=gate.name, passed=False, reason=reason)
        else:
            result = judge_rows(gate, rows)
        if not isinstance(result, GateResult):
            raise TypeError(f"judge returned {result!r}, and not a GateResult")
    if result.passed and result.value is not None and not math.isfinite(result.value):
        reason = f"its value is {result.value:g}"
        return result.model_copy(update={"passed": False, "reason": reason})
    return result
