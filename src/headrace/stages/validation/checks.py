"""The checks of every data set, and those of its contract, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from headrace.media import medium
from headrace.media.forms import Expectation
from headrace.records import SnapshotRecord
from headrace.spec import PipelineSpec
from headrace.stages.validation.tables import ItemTable
from headrace.tasks import task

# Reading 0..1 as 0..255 is a factor of 255; ordinary splits differ by less than 1.5.
SCALE_FACTOR = 4.0
_ROW_COUNT = "expect_table_row_count_to_be_between"
_MEAN = "expect_column_mean_to_be_between"
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


def _holds(
    name: str, column: str, values: list[Any], reason: str, *shows: str
) -> Check:
    arguments = {"column": column, "value_set": values}
    return Check(
        name, "expect_column_values_to_be_in_set", arguments, reason, shows=shows
    )


def delivered_checks() -> list[Check]:
    """The checks of all items, before the unreadable ones are left out."""
    return [
        Check("rows", _ROW_COUNT, {"min_value": 1}),
        _holds("readable", "readable", [True], "cannot be read"),
    ]


def item_checks(
    spec: PipelineSpec, snapshot: SnapshotRecord, items: ItemTable
) -> list[Check]:
    """The checks of the readable items, the first reason to quarantine a row first."""
    data = snapshot.description
    module = medium(data.medium)
    of_task = task(data.task).contract.expectations(data)
    return [
        Check("rows", _ROW_COUNT, {"min_value": 1}, split="train"),
        Check("rows", _ROW_COUNT, {"min_value": 1}, split="test"),
        *(_expected(e, shown=bool(e.reason)) for e in of_task),
        _holds("blank", "blank", [False], "all its values are equal"),
        _holds("not_finite", "finite", [True], "one of its numbers is NaN or infinite"),
        *map(_expected, module.expectations(data)),
        *_duplicates(spec.data.leak_limit, module.DUPLICATES),
        *_scale(module.SCALE_COLUMNS, items),
        *contract_checks(spec),
    ]


def _expected(e: Expectation, *, shown: bool = True) -> Check:
    """An expectation of a medium or a task as a check."""
    shows = _columns(e.arguments) if shown else ()
    return Check(e.check, e.name, e.arguments, e.reason, e.split, e.warns, shows)


def _duplicates(leak_limit: float, duplicates: str) -> list[Check]:
    two_labels = "equal items have different labels"
    leak = {"column": "in_train", "max_value": leak_limit}
    twice = _holds("duplicate", "copy", [0], "an equal item is kept", "copy_of")
    return [
        _holds("two_labels", "labels", [1], two_labels, "copy_of"),
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
        bounds = {"min_value": mean / SCALE_FACTOR, "max_value": mean * SCALE_FACTOR}
        arguments = {"column": column, **bounds}
        checks.append(
            Check("scale", _MEAN, arguments, "", "test", warns=True, shows=(column,))
        )
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
