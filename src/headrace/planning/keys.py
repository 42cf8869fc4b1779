"""The key of a stage, and how it differs from an earlier one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headrace.spec import law

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Key:
    """All that a stage's result depends on, by name."""

    stage: str
    ingredients: dict[str, str]

    @property
    def fingerprint(self) -> str:
        """sha256 over the sorted ingredients."""
        text = json.dumps([self.stage, sorted(self.ingredients.items())])
        return hashlib.sha256(text.encode()).hexdigest()

    def why(self, before: Mapping[str, str]) -> str:
        """How the key differs from earlier ingredients, in words; may be empty."""
        changes = [
            change
            for name in sorted(before.keys() | self.ingredients.keys(), key=_by_kind)
            if before.get(name) != self.ingredients.get(name)
            for change in _changes(name, before.get(name), self.ingredients.get(name))
        ]
        more = f" and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
        return ", ".join(changes[:_SHOWN]) + more


def ingredients_of(
    spec: dict[str, Any], inputs: Mapping[str, str], code: Mapping[str, str]
) -> dict[str, str]:
    """All ingredients by name; each name begins with its kind."""
    return {
        **{f"spec {name}": value for name, value in _flatten(spec)},
        **{f"input {name}": value for name, value in inputs.items()},
        **code,
    }


def _flatten(value: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    fields: list[tuple[str, str]] = []
    for name, item in value.items():
        if isinstance(item, dict):
            fields += _flatten(item, f"{prefix}{name}.")
        else:
            fields.append(
                (f"{prefix}{name}", json.dumps(item, sort_keys=True, default=str))
            )
    return fields


def _by_kind(name: str) -> tuple[int, str]:
    """Sort what the user changed before its consequences."""
    return ("spec", "input", "version", "code").index(name.partition(" ")[0]), name


def _changes(name: str, before: str | None, now: str | None) -> list[str]:
    kind, _, rest = name.partition(" ")
    if name in {"spec gates", "spec contract"}:  # lists of tables, by field
        old, new = ({rest: json.loads(text or "[]")} for text in (before, now))
        return [str(change) for change in law.changes(old, new)]
    if kind in {"spec", "version"}:
        return [f"{rest} {before} → {now}"]
    return [f"code of {rest}" if kind == "code" else f"{rest} changed"]
