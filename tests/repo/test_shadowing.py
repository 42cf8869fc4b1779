"""No comprehension takes the name of a variable that a nested function reads.

Python 3.13.0 to 3.13.2 crash where something reads the local variables of a frame in
such a comprehension, as Pydantic does when it completes a model at its first use
(python/cpython#128396).
"""

from __future__ import annotations

import symtable
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INLINED = {"listcomp", "dictcomp", "setcomp"}  # into their function, since Python 3.12


def shadowing(scope: symtable.SymbolTable) -> Iterator[tuple[str, int, str]]:
    """The function, line and name of each."""
    children = scope.get_children()
    if isinstance(scope, symtable.Function):
        captured = {name for child in children for name in read_from_outside(child)}
        for child in children:
            if child.get_name() in INLINED:
                for name in captured.intersection(targets(child)):
                    yield scope.get_name(), child.get_lineno(), name
    for child in children:
        yield from shadowing(child)


def read_from_outside(scope: symtable.SymbolTable) -> set[str]:
    """Names that a function reads from around it; an inlined one captures nothing."""
    if scope.get_name() in INLINED:
        nested = map(read_from_outside, scope.get_children())
        return set().union(*nested) - targets(scope)
    return {symbol.get_name() for symbol in scope.get_symbols() if symbol.is_free()}


def targets(scope: symtable.SymbolTable) -> set[str]:
    """The names that a comprehension binds."""
    return {symbol.get_name() for symbol in scope.get_symbols() if symbol.is_local()}


@pytest.mark.parametrize("folder", ["src", "flows"])
def test_no_comprehension_shadows_what_a_nested_function_reads(folder: str) -> None:
    found = [
        (str(path.relative_to(ROOT)), *found)
        for path in sorted((ROOT / folder).rglob("*.py"))
        for found in shadowing(symtable.symtable(path.read_text(), str(path), "exec"))
    ]
    assert found == []


def test_what_crashes_is_found() -> None:
    code = """
def crashes(rows, row):
    total = sum(row for _ in rows)
    return [row for row in rows]
"""
    scope = symtable.symtable(code, "code", "exec")
    assert list(shadowing(scope)) == [("crashes", 4, "row")]
