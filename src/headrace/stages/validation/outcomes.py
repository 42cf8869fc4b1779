"""Reads Great Expectations' results. A result without values fails."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.stages.validation.checks import Check
from headrace.stages.validation.tables import Rows

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Outcome:
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


def outcome_of(check: Check, result: Any, size: int) -> Outcome:
    """Read one result.

    Args:
        check: of the result.
        result: of Great Expectations; ``unexpected_index_list`` holds the index of
            each failing row.
        size: number of rows with values, unless the result has it.
    """
    cause = _cause(result.exception_info)
    if cause:
        return Outcome(check, passed=False, observed="no answer", cause=cause)
    facts = result.result
    counted = check.expectation.startswith("expect_table_row_count")
    if "element_count" in facts:
        size = facts["element_count"] - facts.get("missing_count", 0)
    if not size and not counted:
        return Outcome(check, passed=False, observed="no values")
    value = facts.get("observed_value")
    if isinstance(value, float) and not math.isfinite(value):
        return Outcome(check, passed=False, observed=str(value))
    return Outcome(
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
    value = facts.get("observed_value")
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else json.dumps(value, default=str)[:120]
