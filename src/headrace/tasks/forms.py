"""Types that all tasks share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.records import Finding, SuspectRecord

Targets = npt.NDArray[Any]
Outputs = npt.NDArray[np.float32]
Scores = npt.NDArray[Any]
Column = npt.NDArray[np.object_]
# An array that is computed or read when it is asked for.
Lazy = Callable[[], npt.NDArray[Any]]
Figures = Mapping[str, float | None]
# Rows of each (split, label); the label is empty where labels make no strata.
Counts = Counter[tuple[str, str]]
FLOAT32 = "%.9g"  # from which a float32 can be read back
OR_A_BODY = 'or set YIELDS = "vector" in its module, if the task is to add the head.'


def some(values: Sequence[str], most: int) -> str:
    """The first values, and how many more there are."""
    more = f" and {len(values) - most:,} more" if len(values) > most else ""
    return ", ".join(values[:most]) + more


@dataclass(frozen=True, slots=True)
class Judged:
    """Rows of one split, and a model's answers to them.

    Attributes:
        split: train, val or test.
        items: ``(n, *shape)``, of the medium's type.
        targets, outputs: ``(n, ...)``.
        names: of each row in the source, ``(n,)``.
    """

    split: str
    items: npt.NDArray[Any]
    targets: Targets
    names: list[str]
    outputs: Outputs


@dataclass(frozen=True, slots=True)
class Suspect:
    """A row where the model disagrees with the label, which may be wrong.

    Attributes:
        item: ``shape``, of the medium's type.
        row: the estimated probability that its label is wrong is above 0.5.
    """

    item: npt.NDArray[Any]
    row: SuspectRecord


@dataclass(frozen=True, slots=True)
class Survey:
    """What `headrace new` finds out from the labels, and writes.

    Attributes:
        rows: usable ones of each split.
        fields: of ``[data]``, in their order.
        head: comment lines at the top of the pipeline file.
        gates: the first tables of ``[[gates]]``.
        summary: the first sentence of the pipeline's README.
        readme: lines on the labels, for the README.
        limits: the first sentence on the model's limits.
        facts: for ``--json``.
        lines: for the terminal.
        findings: warnings about the data.
        arguments: of the model, in place of the family's defaults.
        least_steps: of training, where the task needs more than the family.
    """

    rows: dict[str, int]
    fields: dict[str, Any]
    head: Sequence[str]
    gates: Sequence[dict[str, Any]]
    summary: str
    readme: Sequence[str]
    limits: str
    facts: dict[str, Any]
    lines: Sequence[str]
    findings: Sequence[Finding] = field(default_factory=list)
    arguments: dict[str, Any] = field(default_factory=dict)
    least_steps: int = 0
