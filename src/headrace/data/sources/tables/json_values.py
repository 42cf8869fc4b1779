"""JSON values that Python reads, but no column can hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MOST_BITS = 1023  # of an integer that fits into a float64
MOST_LEVELS = 100  # json.dumps recurses level by level


def value_problem(row: Mapping[str, Any]) -> str:
    """Why a column cannot hold a value of a row; empty where it can hold all."""
    for key, value in row.items():
        if type(value) is int and value.bit_length() > MOST_BITS:
            return f"{key!r} is a number of {len(str(abs(value))):,} digits"
        if isinstance(value, dict | list) and not _is_shallow(value):
            return f"{key!r} is nested more than {MOST_LEVELS} levels deep"
    return ""


def _is_shallow(value: Any) -> bool:
    level = [value]
    for _ in range(MOST_LEVELS):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return True
    return False
