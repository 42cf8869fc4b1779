"""What code a stage depends on: its import closure, and the versions beneath it.

A module counts by its syntax tree without docstrings, so comments and prose change
nothing; imports inside functions count like any other.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path

from headrace.errors import SpecError

PACKAGE = "headrace"
_DISTRIBUTIONS = {"PIL": "pillow", "great_expectations": "great-expectations"}


@functools.cache
def _module_path(name: str) -> Path | None:
    root = Path(__file__).resolve().parent
    path = root.joinpath(*name.split(".")[1:])
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@functools.cache
def _read(path: Path) -> tuple[str, frozenset[str]]:
    """The digest of a file's syntax tree, and the modules that it imports."""
    tree = ast.parse(path.read_bytes())
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imported.add(node.module)
            imported.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    digest = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
    return digest[:16], frozenset(imported)


def _read_outside(path: Path) -> tuple[str, frozenset[str]]:
    """Like `_read`, of a file that may have changed or be no Python at all."""
    try:
        return _read.__wrapped__(path)
    except SyntaxError as error:
        raise SpecError(
            f"{path}, line {error.lineno}: {error.msg}.", "Mend it, or move it away."
        ) from None


@functools.cache
def _version(import_name: str) -> str | None:
    try:
        return importlib.metadata.version(_DISTRIBUTIONS.get(import_name, import_name))
    except importlib.metadata.PackageNotFoundError:
        return None


def code_state(roots: Iterable[str], files: Iterable[Path] = ()) -> dict[str, str]:
    """What the code of a stage is, as name to digest or version.

    Args:
        roots: modules of this package that the stage enters by, those that it looks
            up by name included.
        files: Python files outside the package, such as a pipeline's ``model.py``.

    Returns:
        ``code <module>`` to a digest, ``version <package>`` to a version.
    """
    state: dict[str, str] = {}
    packages: set[str] = set()
    waiting = list(roots)
    for file in files:
        digest, imported = _read_outside(file.resolve())
        state[f"code {file.name}"] = digest
        waiting.extend(imported)
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        top = name.partition(".")[0]
        if top != PACKAGE:
            packages.add(top)
            continue
        path = _module_path(name)
        if path is None or name in seen:
            continue
        seen.add(name)
        digest, imported = _read(path)
        state[f"code {name}"] = digest
        waiting.extend(imported)
    for package in packages - sys.stdlib_module_names:
        version = _version(package)
        if version:
            state[f"version {package}"] = version
    return dict(sorted(state.items()))
