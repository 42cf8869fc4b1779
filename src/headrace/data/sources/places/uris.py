"""Opens paths and fsspec URIs as files or trees of files."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from headrace.data.sources.places.files import (
    File,
    check_limits,
    failed,
    first_line,
    local_file,
    translate_errors,
)
from headrace.data.sources.places.trees import (
    FileTree,
    FolderFiles,
    is_junk,
    name_findings,
    relative_name,
)
from headrace.display.credentials import OPTIONS
from headrace.errors import DependencyError, HeadraceError, SourceError, UsageError
from headrace.settings import Settings
from headrace.state import hub
from headrace.state.remote import connect, is_local, storage_options

_ATTEMPTS = 4


def is_library(uri: str) -> bool:
    """Whether a URI names data, not a place: ``keras:mnist``, ``catalog:sms-spam``."""
    return re.match(r"(catalog|keras|mlxtend):(?!/)", uri) is not None


def file_system(uri: str, settings: Settings) -> tuple[Any, str]:
    """The fsspec file system of a path or URI, and the path in it.

    Args:
        uri: without credentials, which are in the environment or the settings.
        settings: with storage options.

    Raises:
        UsageError: the protocol is unknown, the URI holds a credential, or the options
            do not fit the protocol.
        DependencyError: the protocol's package is missing, or it does not answer.
    """
    if place := _existing(uri):
        from fsspec.implementations.local import LocalFileSystem

        return LocalFileSystem(), str(place)
    options = hub.options() if uri.startswith(hub.SCHEME) else {}
    options |= storage_options(uri, settings)
    try:
        return connect(uri, _ATTEMPTS, options)
    except ImportError as error:
        raise DependencyError(
            f"Reading {uri} needs a package that is not installed: {error}.",
            "Install it, or give a local path.",
        ) from None
    except ValueError as error:
        raise UsageError(
            f"{uri} is neither a path nor a known URI: {error}.",
            "Give a path, or a URI such as s3://bucket/folder.",
        ) from None
    except TypeError as error:
        raise UsageError(
            f"{OPTIONS} does not fit {uri}: {first_line(error)}.",
            "See which options fsspec's file system of that protocol takes.",
        ) from None


def _existing(uri: str) -> Path | None:
    """The absolute path that a URI is, if something is there."""
    place = Path(uri).expanduser()
    return place.absolute() if os.path.lexists(place) else None


def open_path(uri: str, settings: Settings) -> File | FileTree:
    """Open a file or a folder at a path or any fsspec URI.

    Raises:
        NotFoundError: there is none.
        DependencyError: it cannot be reached.
    """
    if place := _existing(uri):
        return _open_local(place, uri, settings)
    uri = hub.pinned(uri)
    with translate_remote_errors(uri):
        fs, path = file_system(uri, settings)
        if is_local(fs):
            return _open_local(Path(path), uri, settings)
        fs.invalidate_cache()
        info = fs.info(path)
        if info["type"] != "directory":
            return _remote_file(fs, path, uri, info)
        entries = fs.find(path, detail=True)
    files = {}
    for full, facts in entries.items():
        name = relative_name(full.removeprefix(path.rstrip("/")).lstrip("/"), uri)
        if not is_junk(name):
            files[name] = _remote_file(fs, full, f"{uri}/{name}", facts)
    check_limits(uri, len(files), sum(file.size for file in files.values()), settings)
    return FileTree(uri, files)


@contextlib.contextmanager
def translate_remote_errors(uri: str) -> Iterator[None]:
    """As `translate_errors`; all other errors of remote file systems are translated."""
    try:
        with translate_errors(uri):
            yield
    except HeadraceError:
        raise
    except Exception as error:  # each protocol has exceptions of its own
        if "://" not in uri or uri.startswith("file:"):
            raise
        # `from None`, since the cause in a log would show the parameters of a URL.
        raise failed(uri, error) from None


def _remote_file(fs: Any, path: str, where: str, info: dict[str, Any]) -> File:
    size = info.get("size")
    if size is None:
        with fs.open(path, "rb") as file:
            size = file.seek(0, io.SEEK_END)
    return File(where, int(size), functools.partial(fs.open, path, "rb"))


def _open_local(path: Path, uri: str, settings: Settings) -> File | FileTree:
    with translate_errors(uri):
        status = path.stat()
    if stat.S_ISREG(status.st_mode):
        return local_file(path, uri, status.st_size)
    if not stat.S_ISDIR(status.st_mode):
        raise SourceError(
            f"{uri} is neither a file nor a folder.", "Give a regular file or a folder."
        )
    files = FolderFiles(
        lambda name, size: local_file(f"{path}/{name}", f"{uri}/{name}", size)
    )
    skipped: list[str] = []
    total = 0
    with translate_errors(uri):
        for name, entry in walk(path, settings.home):
            relative_name(name, uri)  # refuses deceptive ones
            if not entry.is_file(follow_symlinks=False):
                skipped.append(name)
                continue
            size = entry.stat(follow_symlinks=False).st_size
            files.facts[name] = size
            total += size
            check_limits(uri, len(files), total, settings)
    what = ("link or special file not followed", "links or special files not followed")
    return FileTree(uri, files, name_findings("links_ignored", uri, what, skipped))


def walk(folder: Path, home: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """All files and links below a folder; links are not followed.

    Junk is left out, and a home of Headrace, which changes with each run.
    """
    own = str(home.absolute())
    stack = [(str(folder.absolute()), "")]
    while stack:
        path, prefix = stack.pop()
        folders = []
        with os.scandir(path) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if is_junk(entry.name) or entry.path == own:
                    continue
                name = f"{prefix}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    folders.append((entry.path, f"{name}/"))
                else:
                    yield name, entry
        stack += reversed(folders)


def identity(uri: str, settings: Settings) -> str:
    """A digest that changes when the data may have changed; content is not read.

    Raises:
        NotFoundError: there is no data.
        DependencyError: it cannot be reached.
    """
    uri = hub.pinned(uri)
    sha = hashlib.sha256(uri.encode(errors="surrogateescape"))
    with translate_remote_errors(uri):
        for fact in () if uri.startswith(hub.SCHEME) else _facts(uri, settings):
            sha.update(f"\n{fact}".encode(errors="surrogateescape"))
    return sha.hexdigest()


def _facts(uri: str, settings: Settings) -> Iterable[str]:
    if place := _existing(uri):
        return _local_facts(place, settings)
    fs, path = file_system(uri, settings)
    if is_local(fs):
        return _local_facts(Path(path), settings)
    return _remote_facts(fs, path)


def _local_facts(place: Path, settings: Settings) -> Iterator[str]:
    entries: Iterable[tuple[str, os.stat_result]] = [(".", place.stat())]
    if place.is_dir():
        files = walk(place, settings.home)
        entries = ((name, entry.stat(follow_symlinks=False)) for name, entry in files)
    for name, status in entries:
        times = f"{status.st_mtime_ns} {status.st_ctime_ns}"
        yield f"{name} {status.st_size} {times} {status.st_ino}"


def _remote_facts(fs: Any, path: str) -> list[str]:
    fs.invalidate_cache()
    info = fs.info(path)
    if info["type"] != "directory":
        return [fs.ukey(path), _remote_fact(info)]
    files = fs.find(path, detail=True).items()
    return sorted(
        _remote_fact(info)
        for full, info in files
        if not is_junk(full.removeprefix(path).lstrip("/"))
    )


def _remote_fact(info: dict[str, Any]) -> str:
    return repr(sorted((key, str(value)) for key, value in info.items()))
