"""What tasks say to the rest of the house, whatever they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.records import Finding

Targets = npt.NDArray[Any]
Outputs = npt.NDArray[np.float32]
Scores = npt.NDArray[Any]
Column = npt.NDArray[np.object_]
# Rows of each (split, label); the label is empty where labels make no strata.
Counts = Counter[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Judged:
    """Rows of one split, and what a model answers to them.

    Attributes:
        split: train, val or test.
        items: ``(n, *shape)``, of the medium's type.
        targets, outputs: ``(n, ...)``.
        names: where the source had each row, ``(n,)``.
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
        label: as the data has it.
        likely: what the model predicts.
        chance: the model's probability of that.
        chance_wrong: the estimated chance that the label is wrong, over a half.
    """

    item: npt.NDArray[Any]
    name: str
    split: str
    label: str
    likely: str
    chance: float
    chance_wrong: float


@dataclass(frozen=True, slots=True)
class Survey:
    """What `headrace new` finds out of the labels, and writes.

    Attributes:
        rows: of each split that can be learned from or tested on.
        fields: of ``[data]``, in their order.
        head: lines of comment at the top of the pipeline file.
        gates: tables of ``[[gates]]``, the first ones.
        summary: what it does, the first sentence of its README.
        readme: lines on the labels, for its README.
        limits: the first sentence on its limits.
        facts: for ``--json``.
        lines: for people.
        findings: what looks wrong.
        arguments: of a family that takes them, where the task suits others than the
            family's own.
        least_steps: of training, where the task takes more than the family says.
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
