"""No comprehension takes the name of a variable that a nested function reads.

Python 3.13.0 to 3.13.2 crash where something reads the local variables of a frame in
such a comprehension, as Pydantic does when it completes a model at its first use
(python/cpython#128396).
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
SCOPE = FUNCTION | ast.GeneratorExp
INLINED = ast.ListComp | ast.SetComp | ast.DictComp


def shadowing(tree):
    """The line and the name of each."""
    for function in ast.walk(tree):
        if not isinstance(function, FUNCTION):
            continue
        nodes = list(own(function))
        inlined = [node for node in nodes if isinstance(node, INLINED)]
        inner = {id(child) for node in inlined for child in ast.walk(node)}
        bound = names([n for n in nodes if id(n) not in inner], ast.Store)
        nested = [node for node in nodes if isinstance(node, SCOPE)]
        captured = {name for node in nested for name in read_from_outside(node)}
        for node in inlined:
            for part in node.generators:
                taken = names(list(ast.walk(part.target)), ast.Store)
                yield from ((node.lineno, name) for name in taken & bound & captured)


def own(function):
    """The nodes of a function, without those in nested ones."""
    for child in ast.iter_child_nodes(function):
        yield child
        if not isinstance(child, SCOPE | ast.ClassDef):
            yield from own(child)


def read_from_outside(scope):
    """Names that a nested function reads and does not bind."""
    nodes = list(ast.walk(scope))
    if isinstance(scope, ast.GeneratorExp):  # what it goes through is read outside
        before = {id(node) for node in ast.walk(scope.generators[0].iter)}
        nodes = [node for node in nodes if id(node) not in before]
    return names(nodes, ast.Load) - names(nodes, ast.Store)


def names(nodes, how):
    """Of variables that are read or bound; arguments are bound."""
    found = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, how)}
    if how is ast.Store:
        found |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    return found


@pytest.mark.parametrize("folder", ["src", "flows"])
def test_no_comprehension_shadows_what_a_nested_function_reads(folder):
    found = [
        (str(path.relative_to(ROOT)), *found)
        for path in sorted((ROOT / folder).rglob("*.py"))
        for found in shadowing(ast.parse(path.read_text()))
    ]
    assert found == []


def test_what_crashes_is_found():
    code = """
def crashes(rows, row):
    total = sum(row for _ in rows)
    return [row for row in rows]


def does_not(rows, row):
    total = sum(row for _ in rows)
    return [one for one in rows]
"""
    assert list(shadowing(ast.parse(code))) == [(4, "row")]
