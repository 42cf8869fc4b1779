"""Files in object storage, read within the limits of those on a disk."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from headrace.state.regular import (
    READ_AT_MOST,
    UnusableFileError,
    check_size,
    digest_of,
    read_file,
)
from headrace.state.remote import ask, file_system, is_local, local_path, response_of

PART_BYTES = 2**23  # that one request reads
_NO_RANGE = 416


def read(uri: str, sha256: str = "", size: int = 0) -> bytes:
    """The bytes at a path or URI.

    Args:
        uri: of a file.
        sha256, size: that it should have; see `regular.read_file`.

    Raises:
        FileNotFoundError: there is nothing; it is an `UnusableFileError` if the file is
            too large, or there is something else in its place.
        UsageError, DependencyError: as `ask`.
    """
    if local := local_path(uri):
        return read_file(local, sha256, size)
    fs, path = file_system(uri)
    if is_local(fs):
        return read_file(path, sha256, size)
    return read_object(fs, path, uri, sha256, size)


def read_object(fs: Any, path: str, uri: str, sha256: str = "", size: int = 0) -> bytes:
    """The bytes of a remote file, limited as by `regular.read_file`; raises alike.

    Args:
        fs: the fsspec file system.
        path: of the file in it.
        uri: of the file.
        sha256, size: that it should have.
    """
    most = size or READ_AT_MOST
    data = _first_bytes(fs, path, uri, most + 1)
    if len(data) <= most:
        return data
    if size or not sha256:
        raise UnusableFileError(f"{uri} has more than {most:,} bytes")
    actual, length = object_digest(fs, path, uri)
    if actual != sha256:
        raise UnusableFileError(f"{uri} is not the file that was recorded")
    return _first_bytes(fs, path, uri, length)


def object_digest(fs: Any, path: str, uri: str, size: int = 0) -> tuple[str, int]:
    """sha256 of a remote file, hex, and its bytes; raises as `disk.file_digest`."""

    def call() -> tuple[str, int]:
        with open_object(fs, path, uri, size) as file:
            return digest_of(file, file.size, PART_BYTES), int(file.size)

    return ask(uri, call)


@contextlib.contextmanager
def open_object(fs: Any, path: str, uri: str, size: int = 0) -> Iterator[Any]:
    """A remote file, opened for reading without a cache.

    Raises:
        UnusableFileError: it is larger than it should be, or than any of Headrace's.
    """
    with fs.open(path, "rb", cache_type="none") as file:
        check_size(uri, file.size, size)
        yield file


def _first_bytes(fs: Any, path: str, uri: str, count: int) -> bytes:
    def call() -> bytes:
        try:
            return bytes(fs.cat_file(path, end=count))
        except OSError as error:
            if response_of(error)[1] != _NO_RANGE:
                raise
        return b""  # an empty object has no first bytes

    return ask(uri, call)
