"""The checks of every data set and of its contract as plain data, and their outcomes.

A result of Great Expectations without values fails.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.media import medium
from headrace.media.forms import Expectation
from headrace.pipeline import PipelineSpec
from headrace.records import SnapshotRecord
from headrace.stages.validation.tables import ItemTable, Rows
from headrace.tasks import task

if TYPE_CHECKING:
    import pandas as pd


# Reading 0..1 as 0..255 is a factor of 255; ordinary splits differ by less than 1.5.
SCALE_FACTOR = 4.0
_ROW_COUNT = "expect_table_row_count_to_be_between"
_IN_SET = "expect_column_values_to_be_in_set"
_MEAN = "expect_column_mean_to_be_between"
ALL_EQUAL = "all its values are equal"  # the values of a blank item
COLUMN_KEYS = ("column", "column_A", "column_B")


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation of a table.

    Attributes:
        name: of the check in the quarantine and in findings.
        expectation: Great Expectations' name, in snake case.
        reason: the meaning of a failure.
        split: only the rows of this split; empty: all.
        warns: a failure is a finding, and refuses nothing.
        shows: columns whose values are shown with a failing row.
        where: the place in the pipeline file, for rows of the contract.
    """

    name: str
    expectation: str
    arguments: dict[str, Any] = field(default_factory=dict)
    reason: str = ""
    split: str = ""
    warns: bool = False
    shows: tuple[str, ...] = ()
    where: str = ""

    @property
    def call(self) -> str:
        """The expectation with its arguments."""
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.arguments.items())
        return f"{self.expectation}({arguments})"


def _holds(name: str, column: str, values: list[Any], why: str, *shows: str) -> Check:
    arguments = {"column": column, "value_set": values}
    return Check(name, _IN_SET, arguments, why, shows=shows)


def delivered_results(readable: int, rejected: Rows) -> list[CheckResult]:
    """The results for all items, before the unreadable ones are left out.

    Args:
        readable: number of decoded items.
        rejected: ``row`` of the others.
    """
    count, total = len(rejected), readable + len(rejected)
    rows = Check("rows", _ROW_COUNT, {"min_value": 1})
    can_be_read = _holds("readable", "readable", [True], "cannot be read")
    observed = f"{count:,} of {total:,} rows"
    return [
        CheckResult(rows, passed=total > 0, observed=str(total)),
        CheckResult(can_be_read, not count, count, observed, rejected),
    ]


def measured(check: Check, value: float) -> CheckResult:
    """The result of a check of one number, which has a highest value."""
    passed = value <= check.arguments["max_value"]
    return CheckResult(check, passed, int(not passed), as_text(value))


def item_checks(
    spec: PipelineSpec, snapshot: SnapshotRecord, items: ItemTable
) -> list[Check]:
    """The checks of the readable items, the first reason to quarantine a row first."""
    data = snapshot.description
    module = medium(data.medium)
    contract = task(data.task).contract
    of_task = contract.expectations(data)
    return [
        Check("rows", _ROW_COUNT, {"min_value": 1}, split="train"),
        Check("rows", _ROW_COUNT, {"min_value": 1}, split="test"),
        *(expected(e, shown=bool(e.reason)) for e in of_task),
        _holds("blank", "blank", [False], ALL_EQUAL),
        _holds("not_finite", "finite", [True], "one of its numbers is NaN or infinite"),
        *map(expected, module.expectations(data)),
        *_duplicates(spec.data.leak_limit, module.DUPLICATES, contract.ONE_LABEL),
        *_scale(module.SCALE_COLUMNS, items),
        *contract_checks(spec),
    ]


def expected(e: Expectation, *, shown: bool = True) -> Check:
    """An expectation of a medium or a task as a check."""
    shows = _columns(e.arguments) if shown else ()
    return Check(e.check, e.name, e.arguments, e.reason, e.split, e.warns, shows)


def _duplicates(leak_limit: float, duplicates: str, one_label: bool) -> list[Check]:
    two_labels = "equal items have different labels"
    agree = _holds("two_labels", "labels", [1], two_labels, "copy_of")
    leak = {"column": "in_train", "max_value": leak_limit}
    twice = _holds("duplicate", "copy", [0], "an equal item is kept", "copy_of")
    return [
        *([agree] if one_label else []),
        *([twice] if duplicates == "set aside" else []),
        Check("leak", _MEAN, leak, split="test"),
        _holds("leak", "in_test", [0], "an equal item is in test", "copy_of"),
    ]


def _scale(columns: tuple[str, ...], items: ItemTable) -> list[Check]:
    if not (items.sizes["train"] and items.sizes["test"]):
        return []
    checks = []
    for column in columns:
        frame = items.read(["split", column])
        mean = float(frame.loc[frame["split"] == "train", column].mean())
        low, high = mean / SCALE_FACTOR, mean * SCALE_FACTOR
        bounds = {"column": column, "min_value": low, "max_value": high}
        of_test = Check("scale", _MEAN, bounds, split="test", warns=True)
        checks.append(replace(of_test, shows=(column,)))
    return checks


def contract_checks(spec: PipelineSpec) -> list[Check]:
    """The rows of ``[[contract]]``; a ``severity`` below critical only warns."""
    return [
        Check(
            row.expectation,
            row.expectation,
            row.arguments,
            reason=f"contract[{index}]: {_bounds(row.arguments)}",
            split=row.split or "",
            warns=row.arguments.get("severity", "critical") != "critical",
            shows=_columns(row.arguments),
            where=f"contract[{index}]",
        )
        for index, row in enumerate(spec.contract)
    ]


def _columns(arguments: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(arguments[key]) for key in COLUMN_KEYS if key in arguments)


def _bounds(arguments: dict[str, Any]) -> str:
    rest = {key: value for key, value in arguments.items() if key not in COLUMN_KEYS}
    return ", ".join(f"{key}={value!r}" for key, value in rest.items())


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of a check.

    Attributes:
        unexpected: number of failing rows.
        observed: the observed value, as short text.
        rows: ``row`` of each failing row, ascending; empty for checks of all rows.
        cause: the message of an exception in place of a result.
    """

    check: Check
    passed: bool
    unexpected: int = 0
    observed: str = ""
    rows: Rows = field(default_factory=lambda: np.empty(0, np.int64), repr=False)
    cause: str = ""


def size_of(frame: pd.DataFrame, columns: list[str], split: str) -> int:
    """The number of rows that a check applies to, without those without a value."""
    applies = np.ones(len(frame), bool)
    if columns:
        applies &= frame[columns].notna().any(axis=1).to_numpy()
    if split:
        applies &= (frame["split"] == split).to_numpy()
    return int(np.count_nonzero(applies))


def outcome_of(check: Check, result: Any, size: int) -> CheckResult:
    """Read one result.

    Args:
        check: of the result.
        result: of Great Expectations; ``unexpected_index_list`` holds the index of
            each failing row.
        size: number of rows with values, unless the result has it.
    """
    if cause := _cause(result.exception_info):
        return CheckResult(check, passed=False, observed="no answer", cause=cause)
    facts = result.result
    if "element_count" in facts:
        size = facts["element_count"] - facts.get("missing_count", 0)
    if not size and not check.expectation.startswith("expect_table_row_count"):
        return CheckResult(check, passed=False, observed="no values")
    value = facts.get("observed_value")
    if isinstance(value, float) and not math.isfinite(value):
        return CheckResult(check, passed=False, observed=str(value))
    return CheckResult(
        check,
        passed=bool(result.success),
        unexpected=int(facts.get("unexpected_count", 0)),
        observed=_observed(facts),
        rows=np.array(facts.get("unexpected_index_list") or (), np.int64),
    )


def _cause(info: dict[str, Any]) -> str:
    entries = [info] if "raised_exception" in info else list(info.values())
    for entry in entries:
        if entry["raised_exception"]:
            return " ".join(str(entry["exception_message"]).split())[:300].rstrip(".")
    return ""


def _observed(facts: dict[str, Any]) -> str:
    if "element_count" in facts and "unexpected_count" in facts:
        return f"{facts['unexpected_count']:,} of {facts['element_count']:,} rows"
    lists = [(k, facts.get(f"partial_{k}_list")) for k in ("missing", "unexpected")]
    texts = [f"{kind}: {', '.join(map(str, rows))}" for kind, rows in lists if rows]
    if texts:
        return "; ".join(texts)
    return as_text(facts.get("observed_value"))


def as_text(value: Any) -> str:
    """An observed value as short text; empty for None."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else json.dumps(value, default=str)[:120]
