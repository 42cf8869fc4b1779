"""Labels as numbers, and what the contract expects of them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.media.chunks import Chunk, Source
from headrace.media.forms import Expectation
from headrace.records import DataDescription
from headrace.tasks import Contract, Labels
from headrace.tasks.forms import Column, Counts, Targets

_MOST = float(np.finfo(np.float32).max)


def number(label: str) -> float:
    """A label as a number; NaN where it is not one, or not finite as float32."""
    try:
        value = float(label)
    except ValueError:
        return math.nan
    # Python reads 2021_01 as a number, too.
    is_plain = abs(value) <= _MOST and "_" not in label
    return value if is_plain else math.nan


def problem_of(label: str) -> str:
    """What labels like this one are, as they cannot be learned; empty if they can."""
    if not math.isnan(number(label)):
        return ""
    with contextlib.suppress(ValueError):
        if abs(float(label.replace("_", "x"))) > _MOST:
            return "too large for float32"
    return "not numbers"


def numbers(labels: Sequence[str]) -> Targets:
    """Labels as numbers, float64 ``(n,)``."""
    return np.array([number(label) for label in labels], np.float64)


class Numbers(Labels):
    STRATIFIED = False
    DTYPE = "float32"

    def read(self, chunks: Iterator[Chunk], source: Source) -> Iterator[Chunk]:
        """Each number in one form: ``12.50`` and ``12.5`` are the same label.

        A label that is not a number stays, and the contract sets its row aside.
        """
        for chunk in chunks:
            values = map(number, chunk.labels)
            plain = [
                label.strip() if math.isnan(value) else repr(value)
                for label, value in zip(chunk.labels, values, strict=True)
            ]
            yield replace(chunk, labels=plain)

    def sketch(self, labels: Collection[str]) -> frozenset[str]:
        """One of them: only whether there are any matters."""
        return frozenset(list(labels)[:1])

    def covers(self, train: Collection[str], val: Collection[str]) -> bool:
        """Whether there are any."""
        return bool(val)

    def encode(self, labels: pa.ChunkedArray, data: DataDescription) -> Targets:
        """Numbers; NaN where a label is not one."""
        return numbers(labels.to_pylist()).astype(self.DTYPE)


class FiniteNumbers(Contract):
    COLUMNS: Sequence[str] = ("target",)
    ONE_LABEL = False  # equal items are measured again
    THING = "item with a number"

    def expectations(self, data: DataDescription) -> list[Expectation]:
        """Each target is a number, and they are not all the same."""
        not_null = "expect_column_values_to_not_be_null"
        distinct = "expect_column_unique_value_count_to_be_between"
        at_least_two = {"column": "target", "min_value": 2}
        reason = "its label is no finite number"
        return [
            Expectation("label", not_null, {"column": "target"}, reason),
            Expectation("targets", distinct, at_least_two, split="train"),
        ]

    def columns(
        self, split: Column, label: Column, counts: Counts, data: DataDescription
    ) -> dict[str, Any]:
        """``target``: the number, float64."""
        return {"target": numbers(label.tolist())}

    def problem(
        self, check: str, split: str, counts: Counts, data: DataDescription
    ) -> str:
        """A split whose targets are all equal."""
        if check != "targets":
            return ""
        return f"{split} has no two different numbers: there is nothing to learn"


LABELS = Numbers()
CONTRACT = FiniteNumbers()
