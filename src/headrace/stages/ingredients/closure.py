"""The code that a stage depends on: the files that it imports, and package versions."""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib.util
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from headrace.errors import HeadraceError, SpecError
from headrace.imports.extensions import file_below
from headrace.state.cache import user_cache
from headrace.state.disk import atomic_file

PACKAGE = "headrace"
ROOT = Path(__file__).parents[2]
# Given here, since looking up an owner takes as long as all the rest.
_DISTRIBUTIONS = {"PIL": "pillow", "markdown_it": "markdown-it-py"}
_FOR_TYPES = ("TYPE_CHECKING", "typing.TYPE_CHECKING")

MOST = 5000  # files whose imports are remembered; with more, all begins anew
_imports: dict[str, list[str]] = {}  # of files, by the sha256 of their content


def code_state(roots: Iterable[str], files: Iterable[Path] = ()) -> dict[str, str]:
    """The code of a stage, as name to digest or version.

    Args:
        roots: entry modules of the stage, with those that it looks up by name.
        files: Python files outside any package, such as a pipeline's ``model.py``.

    Returns:
        ``code <module>`` to a digest, ``version <package>`` to a version.

    Raises:
        SpecError: a file is not Python.
    """
    state: dict[str, str] = {}
    packages: set[str] = set()
    waiting = list(roots)
    for file in files:
        # Not from the cache: it may have changed.
        state[f"code {file.name}"], imported = _read.__wrapped__(file.resolve())
        waiting.extend(imported)
    visited: set[str] = {PACKAGE}  # the package itself only re-exports names
    while waiting:
        name = waiting.pop()
        top = name.partition(".")[0]
        if name in visited or top in sys.stdlib_module_names:
            continue
        visited.add(name)
        path = _module_path(name)
        if path is None:
            packages.add(top)
            continue
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        state[f"code {name}"], imported = _read(path, package)
        waiting.extend(imported)
    for package in packages - {PACKAGE}:
        if version := _version(package):
            state[f"version {package}"] = version
    return dict(sorted(state.items()))


@functools.cache
def _module_path(name: str) -> Path | None:
    top, *rest = name.split(".")
    if top == PACKAGE:
        file = own_modules().get(name)
        return Path(file) if file else None
    root = _place(top)
    return file_below(root, rest) if root else None


@functools.cache
def own_modules() -> dict[str, str]:
    """The files of Headrace's modules; listing all is faster than finding each."""
    paths: dict[str, str] = {}
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name != "__pycache__"]
        package = PACKAGE + folder.removeprefix(str(ROOT)).replace(os.sep, ".")
        for file in files:
            if file.endswith(".py"):
                name = f"{package}.{file[:-3]}".removesuffix(".__init__")
                paths.setdefault(name, os.path.join(folder, file))
    return paths


@functools.cache
def _place(top: str) -> Path | None:
    """The path, without a suffix, of the code of a package that is not installed."""
    origin = _origin(top)
    if origin is None or {"site-packages", "dist-packages"} & set(origin.parts):
        return None
    return origin.parent if origin.name == "__init__.py" else origin.with_suffix("")


@functools.cache
def _origin(top: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    places = (spec and spec.submodule_search_locations) or ()
    if spec is not None and spec.has_location and spec.origin:
        return Path(spec.origin)
    return next((Path(place) / "__init__.py" for place in places), None)


@functools.cache
def _read(path: Path, package: str = "") -> tuple[str, list[str]]:
    """The digest of a file, and the modules that it may import."""
    code = path.read_bytes()
    key = hashlib.sha256(package.encode() + b"\n" + code).hexdigest()
    if key not in _imports:
        try:
            _imports[key] = sorted(set(_imported(ast.parse(code), package)))
        except SyntaxError as error:
            message = f"{path}, line {error.lineno}: {error.msg}."
            raise SpecError(message, "Mend it, or move it away.") from None
    return hashlib.sha256(code).hexdigest()[:16], _imports[key]


def _imported(node: ast.AST, package: str) -> Iterator[str]:
    """The modules that code may import, without those for type checking."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        with contextlib.suppress(ImportError):  # beyond the package
            dots = "." * node.level + (node.module or "")
            module = importlib.util.resolve_name(dots, package)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
    else:
        children: Iterable[ast.AST] = ast.iter_child_nodes(node)
        if isinstance(node, ast.If) and ast.unparse(node.test) in _FOR_TYPES:
            children = node.orelse
        for child in children:
            yield from _imported(child, package)


@contextlib.contextmanager
def remembered(home: Path) -> Iterator[None]:
    """Remember the imports of files that are parsed in the block, for later processes.

    Parsing takes most of the time of a run in which nothing changed.

    Args:
        home: keeps them where the user has no cache folder.
    """
    own = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    place = (user_cache() or home) / f"imports-{own}.json"
    stored: dict[str, list[str]] = {}
    with contextlib.suppress(OSError, ValueError):  # then all is parsed again
        stored = json.loads(place.read_bytes())
        _imports.update(stored)
    yield
    if not _imports.keys() <= stored.keys():
        imports = _imports if len(_imports) <= MOST else {}
        with contextlib.suppress(HeadraceError, OSError), atomic_file(place) as file:
            file.write_text(json.dumps(imports))


@functools.cache
def installed() -> dict[str, str]:
    """The versions of all installed distributions, by normalised name.

    They are read from the names of folders, since metadata would take 0.15 s.
    """
    versions: dict[str, str] = {}
    for place in sys.path:
        for info in Path(place or ".").glob("*.dist-info"):
            name, _, version = info.name.removesuffix(".dist-info").partition("-")
            versions.setdefault(normal_name(name), version)
    return versions


def normal_name(name: str) -> str:
    """The normalised name of a distribution, by which indexes compare."""
    return re.sub(r"[-_.]+", "-", name).lower()


@functools.cache
def _version(top: str) -> str | None:
    version = installed().get(normal_name(_DISTRIBUTIONS.get(top, top)))
    if version or _origin(top) is None or _place(top):
        return version
    import importlib.metadata

    owners = importlib.metadata.packages_distributions().get(top, ())
    versions = {installed().get(normal_name(owner), "") for owner in owners}
    return " ".join(sorted(versions)) or None
