"""What there is of a kind: by its place in Headrace, or by an entry point.

A medium or a task is one folder, a model family, a reader, a kind of gate or a flow one
file, found by its name. An installed package adds its own by an entry point, such as::

    [project.entry-points."headrace.models"]
    tiny = "my_package.tiny"

Modules are found without an import, so that a pipeline file is read at once.
"""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import importlib.util
import pkgutil
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from headrace.errors import UsageError

Kind = Literal["media", "tasks", "models", "sources", "gates", "flows"]

_PLACES: dict[Kind, str] = {
    "media": "headrace.media",
    "tasks": "headrace.tasks",
    "models": "headrace.models",
    "sources": "headrace.data.sources.readers",
    "gates": "headrace.gates.kinds",
    "flows": "headrace_flows",
}
_FOLDERS = ("media", "tasks")  # one each; the others are one file each


@functools.cache
def modules(kind: Kind) -> dict[str, str]:
    """The module of each name of a kind, sorted by name.

    Raises:
        UsageError: an installed package adds a name that there is already.
    """
    place = _PLACES[kind]
    folder = path_of(place).parent
    found = {
        one.name: f"{place}.{one.name}"
        for one in pkgutil.iter_modules([str(folder)])
        if one.ispkg == (kind in _FOLDERS)
        and (kind != "flows" or _has_flow(folder / f"{one.name}.py", one.name))
    }
    for added in _added()[kind]:
        if found.setdefault(added.name, added.value) != added.value:
            raise UsageError(
                f"Two packages add {added.name!r} to headrace.{kind}: "
                f"{found[added.name]} and {added.value}.",
                "Uninstall one of them, or rename its entry point.",
            )
    return dict(sorted(found.items()))


@functools.cache
def _added() -> dict[Kind, importlib.metadata.EntryPoints]:
    """What packages add; each that is installed is looked at, so only once."""
    every = importlib.metadata.entry_points()
    return {kind: every.select(group=f"headrace.{kind}") for kind in _PLACES}


def _has_flow(path: Path, name: str) -> bool:
    """Whether a file has the flow of its name; beside flows lies what they need."""
    flow = rf"^@flow\b.*\n(?:async )?def {name}\("
    return re.search(flow, path.read_text(encoding="utf-8"), re.MULTILINE) is not None


def file_below(root: Path, parts: Iterable[str]) -> Path | None:
    """The file of a module below a package's folder; None where there is none."""
    path = root.joinpath(*parts)
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@functools.cache
def path_of(module: str) -> Path:
    """The file of a module, found without importing it or its package.

    Raises:
        UsageError: an entry point names a module that there is not.
    """
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is not None and spec.origin is not None:
        origin = Path(spec.origin)
        is_package = origin.name == "__init__.py"
        root = origin.parent if is_package else origin.with_suffix("")
        found = file_below(root, rest)
        if found is not None:
            return found
    raise UsageError(
        f"There is no module {module}, which an entry point of headrace names.",
        "Mend the package that declares it, or uninstall it.",
    )


@functools.cache
def constant(module: str, name: str) -> Any:
    """A constant of a module, read without importing it; None where it has none.

    A spec is read by commands that load no library for data.
    """
    for node in ast.parse(path_of(module).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and name in map(ast.unparse, node.targets):
            return ast.literal_eval(node.value)
    return None
