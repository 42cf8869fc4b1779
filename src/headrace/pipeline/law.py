"""The law of a pipeline: the part of its file that decides which model is promoted.

The law is the gates, the contract, the evaluation, the promotion and all of ``[data]``
but the source. A run that applies another law than the file in the pipeline's folder
is an experiment, wherever the change came from.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.pipeline.files import FILE_NAME, fields_of, fields_of_file, load_spec
from headrace.records import DEFAULT_TASK

if TYPE_CHECKING:
    from headrace.pipeline.spec import PipelineSpec

Fields = Mapping[str, Any]
_Path = tuple[str, ...]

_DIGEST = re.compile(r"[0-9a-f]{64}")
_TABLES = {"data", "evaluation", "promotion"}
_LISTS = {"contract", "gates"}  # named without their rows
_NAMES = {"name", "medium", "task"}  # another one is another model

_FILLED_IN = "model.backbone"  # when a run begins, by what the pipeline's file names
_WITHOUT_VALUE = {None, "{}"}
_LONGEST_VALUE = 24
_NAMED_FIELDS = 3
_UNUSUAL = re.compile(r"[^\w\-.+, \[\]()]")


@dataclass(frozen=True, slots=True)
class Change:
    """One field of the law that differs.

    Attributes:
        field: dotted, such as ``gates.accuracy.threshold`` or ``data.test_fraction``.
        before: the earlier value, JSON; None where there was none.
        after: the later value, JSON; None where there is none.
    """

    field: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.field} {_text(self.before)} → {_text(self.after)}"


@dataclass(frozen=True, slots=True)
class Law:
    """The law of a pipeline's file, and the law that a run applies.

    Attributes:
        committed: that of the file, from `law_of`.
        applied: that of the run.
        file: the text of the pipeline file.
    """

    committed: Fields
    applied: Fields
    file: str

    @property
    def digest(self) -> str:
        """sha256 of the file's law, whatever its comments, order and source."""
        fields = _flatten(self.committed)
        lines = sorted((list(path), value) for path, value in fields.items())
        return hashlib.sha256(json.dumps(lines).encode()).hexdigest()

    @property
    def overrides(self) -> tuple[str, ...]:
        """The fields that the run overrides, such as ``gates``, ``promotion.mode``."""
        return overridden(self.committed, self.applied)

    @property
    def changes(self) -> tuple[Change, ...]:
        """How the run's law differs from that of the file."""
        return changes(self.committed, self.applied)


def read_law(spec: PipelineSpec, folder: Path, unpacked: Path) -> Law:
    """The law of the pipeline's file, and the law that a spec applies.

    Args:
        spec: of the run.
        folder: of the pipeline; its file has the law.
        unpacked: holds folders from the store, each named by its digest.

    Raises:
        NotFoundError: there is no such file.
        SpecError: it cannot be read, or a field is unknown, missing or out of bounds.
    """
    name = spec.name if is_unpacked(folder, unpacked) else ""
    committed = load_spec(folder, name=name)
    text = (folder / FILE_NAME).read_text(encoding="utf-8")
    return Law(law_of(committed), law_of(spec), text)


def is_unpacked(folder: Path, unpacked: Path) -> bool:
    """Whether a pipeline's folder is one from the store, below ``unpacked``."""
    place = folder.resolve()
    is_named = _DIGEST.fullmatch(place.name) is not None
    return is_named and place.parent == unpacked.resolve()


def law_of(spec: PipelineSpec) -> dict[str, Any]:
    """The part of a spec that is law, as JSON."""
    law = spec.model_dump(mode="json", include=_TABLES | _LISTS | _NAMES)
    del law["data"]["source"]
    if law["task"] == DEFAULT_TASK:
        del law["task"]
    for gate in law["gates"]:
        for name in ("kind", "arguments"):
            if not gate[name]:
                del gate[name]
    return law


def overridden(committed: Fields, applied: Fields) -> tuple[str, ...]:
    """The fields in which an applied law differs from that of the file, sorted."""
    paths = _changed(_flatten(committed), _flatten(applied))
    fields = {".".join(path[: 2 if path[0] in _TABLES else 1]) for path in paths}
    return tuple(sorted(fields))


def changes(before: Fields, after: Fields) -> tuple[Change, ...]:
    """The fields in which two laws differ; none where one of the laws is unknown."""
    if not before or not after or before == after:
        return ()
    old, new = _flatten(before), _flatten(after)
    paths = _changed(old, new)
    changed = []
    for gate in {path[1] for path in paths if path[0] == "gates"}:
        was, is_now = _gate(before, gate), _gate(after, gate)
        if was is None or is_now is None:
            paths = {path for path in paths if path[:2] != ("gates", gate)}
            changed.append(Change(f"gates.{gate}", was, is_now))
    for path in paths:
        changed += _by_field(".".join(path), old.get(path), new.get(path))
    return tuple(sorted(changed, key=lambda change: change.field))


def _by_field(field: str, before: Any, after: Any) -> list[Change]:
    """The change of a value, of a table by its fields."""
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        return [Change(field, before, after)] * (before != after)
    return [
        change
        for name in {**before, **after}
        for change in _by_field(f"{field}.{name}", before.get(name), after.get(name))
    ]


def changes_of_fields(before: Fields, after: Fields) -> list[Change]:
    """The fields that differ, in the order of ``after``."""
    names = dict.fromkeys([*after, *before])
    pairs = (Change(name, before.get(name), after.get(name)) for name in names)
    return [
        change
        for change in pairs
        if change.before != change.after
        and not {change.before, change.after} <= _WITHOUT_VALUE
        and (change.field, change.before) != (_FILLED_IN, None)
    ]


def title_of(spec: PipelineSpec, folder: Path) -> str:
    """The pipeline's name and what differs from its file, to tell runs apart."""
    return name_by_changes(spec.name, fields_of_file(spec, folder), fields_of(spec))


def name_by_changes(head: str, before: Fields, after: Fields) -> str:
    """A name, and the fields that differ, such as ``digits epochs=30 seed=2``."""
    parts: dict[str, str] = {}
    for change in changes_of_fields(before, after):
        table, _, rest = change.field.partition(".")
        if table in _LISTS:
            parts[table] = table
        else:
            value = (change.after or "none").rstrip("/").rpartition("/")[2]
            name = rest.rpartition(".")[2] or table
            parts[change.field] = f"{name}={_UNUSUAL.sub('_', value)[:_LONGEST_VALUE]}"
    names = list(parts.values())
    more = len(names) - _NAMED_FIELDS
    shown = names[:_NAMED_FIELDS] + ([f"and {more} more"] if more > 0 else [])
    return " ".join([head, *shown])


def recorded_changes(law: Mapping[str, Any]) -> tuple[Change, ...]:
    """The overrides of a run, from its evidence; none in evidence without a law."""
    return changes(law.get("committed") or {}, law.get("applied") or {})


def _changed(before: dict[_Path, Any], after: dict[_Path, Any]) -> set[_Path]:
    missing = object()
    return {
        path
        for path in before.keys() | after.keys()
        if before.get(path, missing) != after.get(path, missing)
    }


def _flatten(law: Fields) -> dict[_Path, Any]:
    fields: dict[_Path, Any] = {(n,): law[n] for n in sorted(_NAMES) if n in law}
    for table in sorted(_TABLES):
        fields |= {(table, name): value for name, value in law.get(table, {}).items()}
    for row in law.get("gates", ()):
        fields |= {("gates", row["name"], k): v for k, v in row.items() if k != "name"}
    for row in law.get("contract", ()):
        about = [str(row[name]) for name in ("column", "split") if row.get(name)]
        head = row["expectation"] + (f"({', '.join(about)})" if about else "")
        rest = sorted(row.keys() - {"expectation", "column", "split"})
        arguments = ", ".join(f"{key} = {json.dumps(row[key])}" for key in rest)
        path = ("contract", head)
        fields[path] = sorted([*fields.get(path, []), arguments])
    return fields


def _gate(law: Fields, name: str) -> str | None:
    """A gate as text, such as ``test_accuracy at least 0.9``; None if there is none."""
    for gate in law.get("gates", ()):
        if gate["name"] == name:
            if gate["threshold"] is None:
                return f"{gate['metric']} by {gate['kind']}"
            word = "at least" if gate["direction"] == "min" else "at most"
            return f"{gate['metric']} {word} {gate['threshold']:g}"
    return None


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        return "[" + "; ".join(value) + "]"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
