"""Kinds of gates apart from bounds: one a file, discovered by place or entry point.

A ``[[gates]]`` table names one as ``kind``, with its ``arguments``.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Protocol

from headrace import extensions
from headrace.records import GateResult
from headrace.spec import GateSpec


class GateKind(Protocol):
    """What a module here gives, as its ``KIND``.

    It may have a method ``check(gate)`` as well, which raises a `SpecError` where the
    fields of a gate do not fit. It is called before anything is trained.
    """

    def judge(self, gate: GateSpec, metrics: Mapping[str, float]) -> GateResult:
        """Whether a model passes, and why.

        Args:
            gate: with ``name``, ``metric``, ``direction``, ``threshold`` (None where
                the pipeline file gives none) and the kind's own ``arguments``.
            metrics: of the test split, and those of slices, such as
                ``class=spam/f1``. A value may be NaN or infinite, and must not pass.
        """


def find_kind(name: str) -> GateKind:
    """The kind of a name.

    Raises:
        UsageError: it is of a package that is at fault.
    """
    kind: GateKind = extensions.load("gates", name).KIND
    return kind


def check_gate(gate: GateSpec) -> None:
    """Import the kind that a gate names, and have it check the gate's fields.

    Raises:
        SpecError: the kind refuses them.
        UsageError: it is of a package that is at fault.
    """
    kind = find_kind(gate.kind)
    with extensions.blamed("gates", gate.kind):
        inspect.signature(kind.judge).bind(gate, {})
        getattr(kind, "check", lambda _: None)(gate)


def judge_by_kind(gate: GateSpec, metrics: Mapping[str, float]) -> GateResult:
    """What the kind that a gate names says.

    Raises:
        UsageError: it is of a package that is at fault.
    """
    kind = find_kind(gate.kind)
    with extensions.blamed("gates", gate.kind):
        result = kind.judge(gate, metrics)
        if not isinstance(result, GateResult):
            raise TypeError(f"judge returned {result!r}, and not a GateResult")
    return result
