"""Kinds of gates: bounds, and others, one a file, discovered by place or entry point.

A ``[[gates]]`` table names one of the others as ``kind``, with its ``arguments``. A
missing number never passes.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from functools import partial
from typing import Protocol, cast

from headrace.display.signs import as_score
from headrace.errors import SpecError
from headrace.gates.rows import JudgedRows
from headrace.imports import extensions
from headrace.pipeline import GateSpec, PipelineSpec
from headrace.records import GateResult

THRESHOLD = 0.1  # of what a model may lose, that is suggested


def absolute_gate(gate: GateSpec, metrics: Mapping[str, float]) -> GateResult:
    """Compare one metric with its bound."""
    value, threshold = metrics.get(gate.metric), gate.threshold
    result = partial(GateResult, name=gate.name, threshold=threshold)
    if value is None or threshold is None or math.isnan(value):
        lack = f"there is no metric {gate.metric}"
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


def held(gate: GateSpec, value: float, most: float, reason: str) -> GateResult:
    """Hold a value of a gate's own against the most that it may be."""
    is_finite = math.isfinite(value)
    return GateResult(
        name=gate.name,
        passed=is_finite and value <= most,
        value=value if is_finite else None,
        threshold=most,
        reason=reason,
        compared=f"{value:.4g} <= {most:.4g}" if is_finite else "",
    )


def check_threshold(gate: GateSpec, what: str = "") -> None:
    """Refuse a gate without a threshold, or with arguments.

    Args:
        gate: of a kind that takes a threshold alone.
        what: it is, in words.

    Raises:
        SpecError: its fields are others.
    """
    if gate.threshold is None or gate.threshold < 0 or gate.arguments:
        raise SpecError(
            f"The gate {gate.name!r} of the kind {gate.kind} needs a threshold of 0 or "
            f"more{what} and takes no arguments; it has threshold = {gate.threshold} "
            f"and the arguments {gate.arguments}.",
            f"Write for example threshold = {THRESHOLD}.",
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

    It may have two more methods, called before anything is trained, which raise a
    `SpecError`: ``check(gate)`` where the fields of a gate do not fit, and
    ``check_pipeline(gate, spec)`` where the rest of the pipeline does not.
    """

    def judge(self, gate: GateSpec, metrics: Mapping[str, float]) -> GateResult:
        """Whether a model passes, and why.

        Args:
            gate: with ``name``, ``metric``, ``direction``, ``threshold`` (None where
                the pipeline file gives none) and the kind's own ``arguments``.
            metrics: of the test split, and those of slices, such as
                ``class=spam/f1``. A value may be NaN or infinite, and must not pass.
        """


class RowsKind(Protocol):
    """A kind that judges the scores of test rows, in place of metrics.

    Like a `GateKind`, it may have the methods ``check`` and ``check_pipeline``.
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


def check_gate(gate: GateSpec, spec: PipelineSpec | None = None) -> None:
    """Import the kind that a gate names, and have it check the gate's fields.

    Args:
        gate: names its kind.
        spec: of the pipeline, to check against, too.

    Raises:
        SpecError: the kind refuses them.
        UsageError: it is of a package that is at fault.
    """
    kind = find_kind(gate.kind)
    with extensions.blamed("gates", gate.kind):
        judge = getattr(kind, "judge_rows", None) or cast(GateKind, kind).judge
        inspect.signature(judge).bind(gate, {})
        getattr(kind, "check", lambda _: None)(gate)
        if spec is not None:
            getattr(kind, "check_pipeline", lambda *_: None)(gate, spec)


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
