"""What is expected of every data set, and what its contract adds. Plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from headrace.media import medium
from headrace.media.forms import Expectation
from headrace.records import SnapshotRecord
from headrace.spec import PipelineSpec
from headrace.stages.validation.tables import ItemTable
from headrace.tasks import task

# 0..1 read as 0..255 is a factor of 255; ordinary splits differ by less than 1.5.
SCALE_FACTOR = 4.0
_ROW_COUNT = "expect_table_row_count_to_be_between"
COLUMN_KEYS = ("column", "column_A", "column_B")


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation of a table.

    Attributes:
        name: what a quarantined row or a finding is filed under.
        expectation: Great Expectations' name, in snake case.
        reason: what it means when it fails.
        split: only the rows of this split; empty: all.
        warns: a failure is a finding and stops nothing.
        shows: columns whose value says more of a failing row.
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
    """What is expected of the items as they came."""
    return [
        Check("rows", _ROW_COUNT, {"min_value": 1}),
        _holds("readable", "readable", [True], "cannot be read"),
    ]


def item_checks(
    spec: PipelineSpec,
    snapshot: SnapshotRecord,
    items: ItemTable,
) -> list[Check]:
    """What is expected of the readable items, the first reason to blame a row first."""
    data = snapshot.description
    module = medium(data.medium)
    return [
        *(
            Check("rows", _ROW_COUNT, {"min_value": 1}, split=split)
            for split in ("train", "test")
        ),
        *(
            _expected(one, shown=bool(one.reason))
            for one in task(data.task).contract.expectations(data)
        ),
        _holds("blank", "blank", [False], "all its values are equal"),
        _holds("not_finite", "finite", [True], "one of its numbers is NaN or infinite"),
        *map(_expected, module.expectations(data)),
        *_company(spec.data.leak_limit, module.DUPLICATES),
        *_scale(module.SCALE_COLUMNS, items),
        *contract_checks(spec),
    ]


def _expected(one: Expectation, *, shown: bool = True) -> Check:
    """What a medium or a task expects, as a check."""
    return Check(
        one.check,
        one.name,
        one.arguments,
        one.reason,
        split=one.split,
        warns=one.warns,
        shows=_columns(one.arguments) if shown else (),
    )


def _company(leak_limit: float, duplicates: str) -> list[Check]:
    twice = _holds("duplicate", "copy", [0], "an equal item is kept", "copy_of")
    return [
        _holds(
            "two_labels", "labels", [1], "equal items have different labels", "copy_of"
        ),
        *([twice] if duplicates == "set aside" else []),
        Check(
            "leak",
            "expect_column_mean_to_be_between",
            {"column": "in_train", "max_value": leak_limit},
            split="test",
        ),
        _holds("leak", "in_test", [0], "an equal item is in test", "copy_of"),
    ]


def _scale(columns: tuple[str, ...], items: ItemTable) -> list[Check]:
    if not (items.sizes["train"] and items.sizes["test"]):
        return []
    means = {}
    for column in columns:
        frame = items.read(["split", column])
        means[column] = float(frame.loc[frame["split"] == "train", column].mean())
    return [
        Check(
            "scale",
            "expect_column_mean_to_be_between",
            {
                "column": column,
                "min_value": mean / SCALE_FACTOR,
                "max_value": mean * SCALE_FACTOR,
            },
            split="test",
            warns=True,
            shows=(column,),
        )
        for column, mean in means.items()
    ]


def contract_checks(spec: PipelineSpec) -> list[Check]:
    """The pipeline's own rows; one with ``severity`` below critical only warns."""
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
