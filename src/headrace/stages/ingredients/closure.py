"""The code that a stage depends on: its import closure, and versions of packages.

A module is represented by a digest of its code, as `syntax` reads it; imports inside
functions count like any other.
An installed package is represented by its version. A package that is not installed but
on the path, such as one in development, is treated like our own code.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from headrace.errors import HeadraceError, SpecError
from headrace.extensions import file_below
from headrace.stages.ingredients import syntax
from headrace.stages.ingredients.syntax import PACKAGE
from headrace.state.cache import user_cache
from headrace.state.store import Store

ROOT = Path(__file__).parents[2]
# Given here, since looking up an owner takes as long as all the rest.
_DISTRIBUTIONS = {"PIL": "pillow", "markdown_it": "markdown-it-py"}

# Digest and imported modules, by sha256 of package and content.
_parsed: dict[str, tuple[str, list[str]]] = {}
_used: set[str] = set()
MOST = 2000  # that are remembered, unless more are used
_KNOWN = TypeAdapter(dict[str, tuple[str, list[str]]])


def code_state(roots: Iterable[str], files: Iterable[Path] = ()) -> dict[str, str]:
    """The code of a stage, as name to digest or version.

    Args:
        roots: entry modules of the stage, with those that it looks up by name.
        files: Python files outside any package, such as a pipeline's ``model.py``.

    Returns:
        ``code <module>`` to a digest, ``version <package>`` to a version.
    """
    state: dict[str, str] = {}
    packages: set[str] = set()
    waiting = list(roots)
    beside = list(files)
    for file in beside:
        several = len(beside) > 1  # one may import what another has imported
        # Not from the cache: it may have changed.
        digest, imported = _read.__wrapped__(file.resolve(), exports=several)
        state[f"code {file.name}"] = digest
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
        exports = top != PACKAGE or path.name == "__init__.py"  # ruff finds others
        digest, imported = _read(path, package, exports)
        state[f"code {name}"] = digest
        waiting.extend(imported)
    for package in packages - {PACKAGE}:
        if version := _version(package):
            state[f"version {package}"] = version
    return dict(sorted(state.items()))


@functools.cache
def _module_path(name: str) -> Path | None:
    top, *rest = name.split(".")
    if top == PACKAGE:
        file = _own_modules().get(name)
        return Path(file) if file else None
    root = _place(top)
    return file_below(root, rest) if root else None


@functools.cache
def _own_modules() -> dict[str, str]:
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
def _read(
    path: Path, package: str = "", exports: bool = False
) -> tuple[str, frozenset[str]]:
    """The digest of a file's code, and the modules that it imports."""
    code = path.read_bytes()
    key = hashlib.sha256(f"{package} {exports}\n".encode() + code).hexdigest()
    _used.add(key)
    try:
        if key not in _parsed:
            _parsed[key] = syntax.parse(code, package, exports=exports)
    except SyntaxError as error:
        message = f"{path}, line {error.lineno}: {error.msg}."
        raise SpecError(message, "Mend it, or move it away.") from None
    digest, imported = _parsed[key]
    return digest, frozenset(imported)


def parse_all() -> None:
    """Parse all modules of Headrace, which the first run would have to do."""
    for name, file in _own_modules().items():
        is_package = Path(file).name == "__init__.py"
        package = name if is_package else name.rpartition(".")[0]
        _read(Path(file), package, is_package)


def parsed() -> dict[str, tuple[str, list[str]]]:
    """The digests and imports of files by content, for the next process to `recall`.

    Parsing takes most of the time of a run in which nothing changed. Of more than
    `MOST` files, those that this process has not used are forgotten.
    """
    if len(_parsed) <= MOST:
        return dict(_parsed)
    return {key: _parsed[key] for key in _used & _parsed.keys()}


def recall(stored: Any) -> set[str]:
    """Use the `parsed` of another process with the same `dialect`.

    Args:
        stored: its JSON; ignored where it has another form.

    Returns:
        the keys that are used.
    """
    try:
        taken = _KNOWN.validate_python(stored)
    except ValidationError:
        return set()
    _parsed.update(taken)
    return set(taken)


@functools.cache
def dialect() -> str:
    """A digest of the Python version and of the code that decides on digests."""
    own = Path(__file__).read_bytes() + Path(syntax.__file__).read_bytes()
    return hashlib.sha256(sys.version.encode() + own).hexdigest()[:16]


@contextlib.contextmanager
def remembered(home: Path) -> Iterator[None]:
    """Remember the code that is parsed in the block, for later processes.

    Not in the store: whoever writes there could hide that code has changed.

    Args:
        home: keeps it where the user has no cache folder.
    """
    place, key = Store(str(user_cache() or home)), f"code/{dialect()}.json"
    stored: set[str] = set()
    with contextlib.suppress(HeadraceError, OSError):  # then all is parsed again
        stored = recall(place.read_json(key))
    yield
    if not parsed().keys() <= stored:
        with contextlib.suppress(HeadraceError, OSError):
            place.write_json(key, parsed())


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
