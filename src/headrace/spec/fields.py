"""The fields of a spec as flat text, and names of runs from changed fields."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from headrace.errors import HeadraceError
from headrace.spec.files import load_spec
from headrace.spec.law import Change
from headrace.spec.pipeline import PipelineSpec

_BUILDER = "model.builder"
_LISTS = ("gates", "contract")  # named without their rows
_WITHOUT_VALUE = {None, "{}"}
_LONGEST_VALUE = 24
_NAMED_FIELDS = 3
_UNUSUAL = re.compile(r"[^\w\-.+, \[\]()]")


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The fields of nested JSON as text, named ``training.epochs``."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{key}.")
        elif (
            isinstance(value, list)
            and value
            and all(isinstance(v, Mapping) and v.keys() != {"name"} for v in value)
        ):
            for number, row in enumerate(value):
                rest = {k: v for k, v in row.items() if k != "name"}
                yield from flatten(rest, f"{prefix}{key}.{row.get('name', number)}.")
        else:
            yield f"{prefix}{key}", str(value)[:6000]


def fields_of(spec: PipelineSpec) -> dict[str, str]:
    """All fields of a spec that have a value."""
    return dict(flatten(spec.model_dump(mode="json", exclude_none=True)))


def fields_of_file(spec: PipelineSpec, folder: Path) -> dict[str, str]:
    """The fields of the pipeline's file, or of the spec if the file is unreadable."""
    with contextlib.suppress(HeadraceError):
        return fields_of(load_spec(folder, name=spec.name))
    return fields_of(spec)


def changes_of_fields(
    before: Mapping[str, str], after: Mapping[str, str]
) -> list[Change]:
    """The fields that differ, in the order of ``after``."""
    names = dict.fromkeys([*after, *before])
    pairs = (Change(name, before.get(name), after.get(name)) for name in names)
    return [
        change
        for change in pairs
        if change.before != change.after
        and not {change.before, change.after} <= _WITHOUT_VALUE
    ]


def name_by_changes(
    head: str, before: Mapping[str, str], after: Mapping[str, str]
) -> str:
    """A run's name from the fields that differ, such as ``mlp epochs=30 seed=2``.

    Args:
        head: the first word; a builder of that name is not repeated.
    """
    parts: dict[str, str] = {}
    for change in changes_of_fields(before, after):
        table, _, rest = change.field.partition(".")
        if table in _LISTS:
            parts[table] = table
        elif (change.field, change.after) != (_BUILDER, head):
            value = (change.after or "none").rstrip("/").rpartition("/")[2]
            name = rest.rpartition(".")[2] or table
            parts[change.field] = f"{name}={_UNUSUAL.sub('_', value)[:_LONGEST_VALUE]}"
    names = list(parts.values())
    more = len(names) - _NAMED_FIELDS
    shown = names[:_NAMED_FIELDS] + ([f"and {more} more"] if more > 0 else [])
    return " ".join([head, *shown])
