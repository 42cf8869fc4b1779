"""What the contract expects of the targets of a regression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace.media.forms import Expectation
from headrace.records import DataDescription
from headrace.tasks import Contract
from headrace.tasks.forms import Column, Counts
from headrace.tasks.regression.data import numbers


class FiniteNumbers(Contract):
    COLUMNS: Sequence[str] = ("target",)
    ONE_LABEL = False  # equal items are measured again

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

    def lacking(self, counts: Counts, data: DataDescription) -> list[str]:
        """The splits without a row."""
        return [
            f"{split} holds no item with a number"
            for split in ("train", "test")
            if not counts[split, ""]
        ]


CONTRACT = FiniteNumbers()
