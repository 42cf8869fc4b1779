"""Discovery of extensions: by their folder in Headrace, or by an entry point.

A medium or a task is one folder; a model family, a reader, a kind of gate or a flow is
one file. Its name is that of the extension. A package adds one by an entry point::

    [project.entry-points."headrace.models"]
    tiny = "my_package.tiny"

Modules are not imported for this, so that a pipeline file is read without delay.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib.metadata
import importlib.util
import itertools
import os
import pkgutil
import re
import sys
import traceback
from collections.abc import Iterable, Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, Literal, NamedTuple

from headrace.errors import HeadraceError, SpecError, UsageError

Kind = Literal["media", "tasks", "models", "sources", "gates", "flows"]


class _Place(NamedTuple):
    """Where the extensions of a kind are.

    Attributes:
        package: the package with Headrace's own.
        word: the kind, in messages.
        attribute: what the module of an extension must have.
    """

    package: str
    word: str
    attribute: str = "__name__"


_PLACES: dict[Kind, _Place] = {
    "media": _Place("headrace.media", "medium", "MEDIUM"),
    "tasks": _Place("headrace.tasks", "task"),
    "models": _Place("headrace.models", "model family", "build"),
    "sources": _Place("headrace.data.sources.readers", "reader", "read"),
    "gates": _Place("headrace.gates.kinds", "gate kind", "KIND"),
    "flows": _Place("headrace_flows", "flow"),
}
_FOLDERS = ("media", "tasks")  # one each; the others are one file each


@functools.cache
def modules(kind: Kind) -> dict[str, str]:
    """The module of each extension of a kind, sorted by name.

    Raises:
        UsageError: two packages add an extension of the same name.
    """
    place = _PLACES[kind].package
    folder = path_of(place).parent
    by_name = {
        one.name: f"{place}.{one.name}"
        for one in pkgutil.iter_modules([str(folder)])
        if one.ispkg == (kind in _FOLDERS)
        and (kind != "flows" or _has_flow(folder / f"{one.name}.py", one.name))
    }
    for point in added()[kind]:
        if by_name.setdefault(point.name, point.value) != point.value:
            raise UsageError(
                f"Two packages add {point.name!r} to headrace.{kind}: "
                f"{by_name[point.name]} and {point.value}.",
                "Uninstall one of them, or rename its entry point.",
            )
    return dict(sorted(by_name.items()))


@functools.cache
def added() -> dict[Kind, importlib.metadata.EntryPoints]:
    """The entry points of packages; cached, since reading all metadata is slow."""
    if not _may_add():
        return dict.fromkeys(_PLACES, importlib.metadata.EntryPoints())
    every = importlib.metadata.entry_points()
    return {kind: every.select(group=f"headrace.{kind}") for kind in _PLACES}


def _may_add() -> bool:
    """Whether a package may have entry points of ours, found without parsing any.

    That takes a sixth of the time of parsing those of all packages.
    """
    finders = [finder for finder in sys.meta_path if finder is not PathFinder]
    if any(hasattr(finder, "find_distributions") for finder in finders):
        return True
    for place in dict.fromkeys(sys.path):
        if os.path.isfile(place):  # a zip file
            return True
        with contextlib.suppress(OSError), os.scandir(place or ".") as entries:
            if any(_names_ours(entry) for entry in entries):
                return True
    return False


def _names_ours(entry: os.DirEntry[str]) -> bool:
    name = entry.name.lower()
    if name.endswith((".dist-info", ".egg-info")):
        with (
            contextlib.suppress(OSError),
            open(f"{entry.path}/entry_points.txt", "rb") as file,
        ):
            return b"headrace." in file.read()
    return name.endswith(".egg")


def is_added(kind: Kind, name: str) -> bool:
    """Whether an installed package adds a name, rather than Headrace itself."""
    return not modules(kind)[name].startswith(f"{_PLACES[kind].package}.")


@functools.cache
def load(kind: Kind, name: str) -> Any:
    """Import the module of an extension.

    Raises:
        UsageError: a package's module is missing, fails, or lacks a required attribute.
    """
    module = modules(kind)[name]
    path_of(module)
    with blamed(kind, name):
        loaded = importlib.import_module(module)
        getattr(loaded, _PLACES[kind].attribute)
    return loaded


@contextlib.contextmanager
def blamed(
    kind: Kind, name: str, on: str = "", error_type: type[HeadraceError] = UsageError
) -> Iterator[None]:
    """Translate the exceptions of a package's extension into errors that name it.

    Args:
        on: the input that it failed on, such as `` on digits.bin``.
        error_type: of the translated error.
    """
    try:
        yield
    except (Exception, SystemExit) as error:  # whatever the package raises
        if isinstance(error, HeadraceError) or not is_added(kind, name):
            raise
        module = modules(kind)[name]
        trace = traceback.extract_tb(error.__traceback__)
        path = path_of(module)
        lines = [step.lineno for step in trace if Path(step.filename) == path]
        place = f" in line {lines[-1]}" if lines else ""
        text = str(error).partition("\n")[0].rstrip(".")
        raise error_type(
            f"The {_PLACES[kind].word} {name} ({module}) failed{on}: "
            f"{type(error).__name__}{place}{': ' * bool(text)}{text}.",
            f"Mend that package{', or the data' * bool(on)}.",
        ) from error


def _has_flow(path: Path, name: str) -> bool:
    """Whether a file defines the flow of its name; other modules of flows do not."""
    flow = rf"^@flow\b.*\n(?:@.*\n)*(?:async )?def {name}\("
    return re.search(flow, path.read_text(encoding="utf-8"), re.MULTILINE) is not None


def file_below(root: Path, parts: Iterable[str]) -> Path | None:
    """The file of a module below a package's folder; None if there is none."""
    path = root.joinpath(*parts)
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@functools.cache
def path_of(module: str) -> Path:
    """The file of a module, without importing it or its package.

    Raises:
        UsageError: an entry point names a module that there is not.
    """
    top, *rest = module.split(".")
    spec = None if ":" in module else importlib.util.find_spec(top)
    if spec is not None:
        alone = [str(spec.origin).removesuffix(".py")]
        for root in spec.submodule_search_locations or alone:
            if file := file_below(Path(root), rest):
                return file
    problem = "there is no such module"
    if ":" in module:
        problem = f"it must name a module: {module.partition(':')[0]}"
    for kind, points in added().items():
        for point in points:
            if point.value == module and point.dist is not None:
                raise UsageError(
                    f"The package {point.dist.name} {point.dist.version} declares "
                    f"{point.name} = {module} in headrace.{kind}, and {problem}.",
                    "Mend that package, or uninstall it.",
                )
    raise UsageError(f"There is no module {module}.", "Install Headrace again.")


@functools.cache
def constant(module: str, name: str, example: str = "") -> Any:
    """A constant of a module or a class in it, without an import; None without one.

    Commands that only read a spec must not import data libraries.

    Args:
        example: Python source of an example, if the constant is required; its type is
            required as well.

    Raises:
        SpecError: it is missing, not a literal, or of another type.
    """
    value = _assigned(module).get(name)
    with contextlib.suppress(ValueError, TypeError):  # of what is not a literal
        literal = ast.literal_eval(value) if value else None
        if not example or type(literal) is type(ast.literal_eval(example)):
            return literal
    raise SpecError(
        f"{module}: {name} must be a literal{', such as ' * bool(example)}{example}; "
        f"it is {ast.unparse(value) if value else 'missing'}."
    )


@functools.cache
def _assigned(module: str) -> dict[str, ast.expr | None]:
    """What the names of a module and of its classes are set to; raises SpecError."""
    path, values = path_of(module), dict[str, ast.expr | None]()
    try:
        nodes = ast.parse(path.read_text(encoding="utf-8")).body
    except SyntaxError as error:
        raise SpecError(
            f"{path}, line {error.lineno}: {error.msg}.", "Mend that package."
        ) from None
    bodies = [each.body for each in nodes if isinstance(each, ast.ClassDef)]
    for node in itertools.chain(*bodies, nodes):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            values.update((ast.unparse(target), node.value) for target in targets)
    return values


def task_default(task: str, name: str) -> Any:
    """A constant of a task, such as ``SCORE``; None if it has no such constant."""
    return constant(modules("tasks")[task], name)
