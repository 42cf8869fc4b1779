"""The law of a pipeline: what its file says of which model may become champion.

The law is the gates, the contract, the evaluation, the promotion and all of ``[data]``
but the source, which runs are given. A run that applies another law than that of the
file in its folder is an experiment, wherever the change came from.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.records import DEFAULT_TASK
from headrace.spec.files import FILE_NAME, load_spec
from headrace.spec.pipeline import PipelineSpec

Fields = Mapping[str, Any]
_Path = tuple[str, ...]

_DIGEST = re.compile(r"[0-9a-f]{64}")
_TABLES = {"data", "evaluation", "promotion"}
_LISTS = {"contract", "gates"}
_NAMES = {"name", "medium", "task"}  # of another model, its file would be another one


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
        committed: what the file says, as `law_of` gives it.
        applied: what holds in the run.
        file: the text of the pipeline file.
    """

    committed: Fields
    applied: Fields
    file: str

    @property
    def digest(self) -> str:
        """sha256 of the law in the file; comments, order and the source change none."""
        return law_digest(self.committed)

    @property
    def overrides(self) -> tuple[str, ...]:
        """The fields that the run overrides, such as ``gates``, ``promotion.mode``."""
        return overridden(self.committed, self.applied)

    @property
    def changes(self) -> tuple[Change, ...]:
        """How the run's law differs from that of the file."""
        return changes(self.committed, self.applied)

    def dump(self) -> dict[str, Any]:
        """The JSON that evidence keeps; `recorded_changes` reads it."""
        return {
            "committed": self.committed,
            "applied": self.applied,
            "file": self.file,
        }


def read_law(spec: PipelineSpec, folder: Path, project: Path, unpacked: Path) -> Law:
    """The law that a spec applies, beside that of the pipeline's file.

    Args:
        spec: of the run.
        folder: of the pipeline.
        project: whose own pipeline of the name has the law, if ``folder`` is a copy of
            it elsewhere.
        unpacked: where folders from the store are, each called by its digest. They are
            what was deployed, and have their law themselves.

    Raises:
        NotFoundError: there is no such file.
        SpecError: it cannot be read, or a field is unknown, missing or out of bounds.
    """
    stored = (
        _DIGEST.fullmatch(folder.name) is not None
        and folder.resolve().parent == unpacked.resolve()
    )
    committed = load_spec(folder, name=spec.name if stored else "")
    own = project / "pipelines" / spec.name
    is_copy = not stored and committed.name == spec.name and own != folder
    if is_copy and (own / FILE_NAME).is_file():
        found = load_spec(own)
        if found.name == spec.name:
            folder, committed = own, found
    text = (folder / FILE_NAME).read_text(encoding="utf-8")
    return Law(law_of(committed), law_of(spec), text)


def law_of(spec: PipelineSpec) -> dict[str, Any]:
    """The part of a spec that is law, as JSON."""
    law = spec.model_dump(mode="json", include=_TABLES | _LISTS | _NAMES)
    del law["data"]["source"]
    if law["task"] == DEFAULT_TASK:  # older laws name no task
        del law["task"]
    for gate in law["gates"]:  # nor kinds of gates
        for name in ("kind", "arguments"):
            if not gate[name]:
                del gate[name]
    return law


def law_digest(law: Fields) -> str:
    """sha256 of a law, whatever the order of its gates and of its contract."""
    lines = sorted((list(path), value) for path, value in _flatten(law).items())
    return hashlib.sha256(json.dumps(lines).encode()).hexdigest()


def overridden(committed: Fields, applied: Fields) -> tuple[str, ...]:
    """The fields of the law that differ: ``gates``, ``contract``, ``data.where``."""
    before, after = _flatten(committed), _flatten(applied)
    depth = {name: 2 for name in _TABLES}
    return tuple(
        sorted(
            {
                ".".join(path[: depth.get(path[0], 1)])
                for path in before.keys() | after.keys()
                if _differ(before, after, path)
            }
        )
    )


def changes(before: Fields, after: Fields) -> tuple[Change, ...]:
    """How two laws differ, by field; none where one of them is not known."""
    if not before or not after:
        return ()
    old, new = _flatten(before), _flatten(after)
    paths = {path for path in old.keys() | new.keys() if _differ(old, new, path)}
    found = []
    for gate in sorted({path[1] for path in paths if path[0] == "gates"}):
        was, is_now = _gate(before, gate), _gate(after, gate)
        if was is None or is_now is None:
            paths = {path for path in paths if path[:2] != ("gates", gate)}
            found.append(Change(f"gates.{gate}", was, is_now))
    found += [Change(".".join(path), old.get(path), new.get(path)) for path in paths]
    return tuple(sorted(found, key=lambda change: change.field))


def recorded_changes(law: Mapping[str, Any]) -> tuple[Change, ...]:
    """What a run overrode, as its evidence has it; none in evidence without a law."""
    return changes(law.get("committed") or {}, law.get("applied") or {})


def _differ(before: dict[_Path, Any], after: dict[_Path, Any], path: _Path) -> bool:
    return path not in before or path not in after or before[path] != after[path]


def _flatten(law: Fields) -> dict[_Path, Any]:
    found: dict[_Path, Any] = {(n,): law[n] for n in sorted(_NAMES) if n in law}
    for table in sorted(_TABLES):
        found |= {(table, name): value for name, value in law.get(table, {}).items()}
    for gate in law.get("gates", ()):
        found |= {("gates", gate["name"], k): v for k, v in gate.items() if k != "name"}
    for row in law.get("contract", ()):
        head, arguments = _contract_row(row)
        path = ("contract", head)
        found[path] = sorted([*found.get(path, []), arguments])
    return found


def _contract_row(row: Fields) -> tuple[str, str]:
    """A row as what it is about, and its arguments as text."""
    about = [str(row[name]) for name in ("column", "split") if row.get(name)]
    head = row["expectation"] + (f"({', '.join(about)})" if about else "")
    rest = {
        key: value
        for key, value in row.items()
        if key not in {"expectation", "column", "split"}
    }
    text = ", ".join(f"{k} = {json.dumps(v)}" for k, v in sorted(rest.items()))
    return head, text


def _gate(law: Fields, name: str) -> str | None:
    """A gate in words; None where the law has none of that name."""
    gate = next((g for g in law.get("gates", ()) if g["name"] == name), None)
    if gate is None:
        return None
    word = "at least" if gate["direction"] == "min" else "at most"
    return f"{gate['metric']} {word} {gate['threshold']:g}"


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return "[" + "; ".join(value) + "]"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
