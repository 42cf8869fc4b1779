"""The bytes and the digests of files, on a disk or in object storage."""

from __future__ import annotations

import hashlib
from typing import Any

from headrace.state.regular import read_file
from headrace.state.remote import ask, file_system, is_local, local_path

PART_BYTES = 2**23  # that one request reads of a file that is hashed


def read(uri: str) -> bytes:
    """The bytes at a path or URI.

    Raises:
        FileNotFoundError: there is no file.
        UsageError, DependencyError: as `ask`.
    """
    if local := local_path(uri):
        return read_file(local)
    fs, path = file_system(uri)
    return read_file(path) if is_local(fs) else read_object(fs, path, uri)


def read_object(fs: Any, path: str, uri: str) -> bytes:
    """The bytes of a file of an fsspec file system; raises as `read`."""
    return ask(uri, lambda: bytes(fs.cat_file(path)))


def object_digest(fs: Any, path: str, uri: str) -> str:
    """sha256 of a file of an fsspec file system, hex; raises as `read`."""

    def call() -> str:
        digest = hashlib.sha256()
        with fs.open(path, "rb", cache_type="none") as file:
            while part := file.read(PART_BYTES):
                digest.update(part)
        return digest.hexdigest()

    return ask(uri, call)
