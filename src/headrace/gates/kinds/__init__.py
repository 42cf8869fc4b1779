"""Kinds of gates beside bounds, one a file, kind by their place or entry point.

A ``[[gates]]`` table names one as ``kind``, with its ``arguments``.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Protocol

from headrace import extensions
from headrace.errors import SpecError, did_you_mean
from headrace.records import GateResult
from headrace.spec import GateSpec


class GateKind(Protocol):
    """What a module here gives, as its ``KIND``."""

    def judge(self, gate: GateSpec, metrics: Mapping[str, float]) -> GateResult:
        """Whether a model passes, and why.

        Args:
            gate: with the kind's own ``arguments``.
            metrics: of the test split, and those of slices, such as
                ``class=spam/f1``.
        """


def find_kind(name: str) -> GateKind:
    """The kind of a name.

    Raises:
        SpecError: there is none.
    """
    known = extensions.modules("gates")
    if name not in known:
        hint = did_you_mean(name, known, f"Kinds: {', '.join(known)}.")
        raise SpecError(f"gates: there is no kind {name!r}.", hint)
    kind: GateKind = importlib.import_module(known[name]).KIND
    return kind
