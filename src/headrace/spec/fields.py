"""The fields of a spec as flat text, and runs named by those that differ."""

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
_LISTS = ("gates", "contract")  # named as a whole
_WITHOUT_VALUE = {None, "{}"}
_LONGEST_VALUE = 24
_NAMED_FIELDS = 3
_UNUSUAL = re.compile(r"[^\w\-.+, \[\]()]")


def _is_row(value: Any) -> bool:
    """Whether a list's value has fields beside its name."""
    return isinstance(value, Mapping) and value.keys() != {"name"}


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The fields of nested JSON as text, named ``training.epochs``."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{key}.")
        elif isinstance(value, list) and value and all(map(_is_row, value)):
            for number, item in enumerate(value):
                label = item.get("name", number)
                rest = {k: v for k, v in item.items() if k != "name"}
                yield from flatten(rest, f"{prefix}{key}.{label}.")
        else:
            yield f"{prefix}{key}", str(value)[:6000]


def fields_of(spec: PipelineSpec) -> dict[str, str]:
    """All fields of a spec that have a value."""
    return dict(flatten(spec.model_dump(mode="json", exclude_none=True)))


def fields_of_file(spec: PipelineSpec, folder: Path) -> dict[str, str]:
    """What the pipeline's file says; what the spec says where it cannot be read."""
    with contextlib.suppress(HeadraceError):
        return fields_of(load_spec(folder, name=spec.name))
    return fields_of(spec)


def changes_of_fields(
    before: Mapping[str, str], after: Mapping[str, str]
) -> list[Change]:
    """The fields that differ, in the order of the later ones."""
    names = dict.fromkeys([*after, *before])
    found = (Change(name, before.get(name), after.get(name)) for name in names)
    return [
        change
        for change in found
        if change.before != change.after
        and not {change.before, change.after} <= _WITHOUT_VALUE
    ]


def name_by_changes(
    head: str, before: Mapping[str, str], after: Mapping[str, str]
) -> str:
    """A run's name by the fields that differ, such as ``mlp epochs=30 seed=2``.

    Args:
        head: what the name begins with; a builder of that name is not named again.
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
