"""Files that are read whole or hashed, and no larger than what belongs there."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import IO

from headrace.home import PRIVATE_FILE

LARGEST = 2**34  # bytes; no file of Headrace's is larger
_PART = 2**20  # bytes that are hashed at a time
READ_AT_MOST = 2**28  # bytes of a file of which no digest is known before it is read


class UnusableFileError(FileNotFoundError):
    """What is at a path is a folder, or larger than the file that belongs there.

    Where a missing file counts as absent, so does this one.
    """


@contextlib.contextmanager
def open_regular(path: str | Path, size: int = 0) -> Iterator[BufferedReader]:
    """A file that is not too large, opened for reading.

    Args:
        path: of the file.
        size: see `check_size`.

    Raises:
        FileNotFoundError: there is nothing.
        UnusableFileError: it is a folder, or larger.
    """
    try:
        file = open(path, "rb")
    except NotADirectoryError as error:  # a file is where a folder above it was
        raise FileNotFoundError(error.errno, error.strerror, str(path)) from error
    except IsADirectoryError as error:
        raise UnusableFileError(f"{path} is a folder") from error
    with file:
        check_size(str(path), os.fstat(file.fileno()).st_size, size)
        try:
            yield file
        except OSError as error:
            if error.errno == errno.EIO:
                raise UnusableFileError(f"{path} cannot be read: {error}") from error
            raise


def check_size(name: str, actual: int, size: int = 0) -> None:
    """Refuse a file that is too large to be looked at.

    Args:
        name: of the file, for messages.
        actual: its bytes.
        size: the bytes that it should have; 0 if that is not known. Then it may have
            `LARGEST`, and a record, which is JSON and is parsed, `READ_AT_MOST`.

    Raises:
        UnusableFileError: it has more.
    """
    most = size or (READ_AT_MOST if name.endswith(".json") else LARGEST)
    if actual > most:
        raise UnusableFileError(
            f"{name} has {actual:,} bytes, and may have {most:,} at most"
        )


def open_log(path: str | Path, *, is_new: bool = False) -> IO[bytes]:
    """A file to write on at its end, made unless it exists.

    Args:
        path: of the log.
        is_new: whether what it has so far goes.
    """
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if is_new else os.O_APPEND)
    return os.fdopen(os.open(path, flags, PRIVATE_FILE), "wb")


def read_file(path: str | Path, sha256: str = "", size: int = 0) -> bytes:
    """The bytes of a file; its digest is left to the caller to compare.

    Args:
        path: of the file.
        sha256: that it should have. A file of more than `READ_AT_MOST` bytes is read
            into memory only if it has it.
        size: that it should have, in bytes. A larger file is not read.

    Raises:
        FileNotFoundError: there is nothing.
        UnusableFileError: it is a folder, or too large.
    """
    with open_regular(path, size or (0 if sha256 else READ_AT_MOST)) as file:
        length = os.fstat(file.fileno()).st_size
        if length > READ_AT_MOST:
            if digest_of(file, length) != sha256:
                raise UnusableFileError(f"{path} is not the file that was recorded")
            file.seek(0)
        return file.read(length)


def file_digest(path: str | Path, size: int = 0) -> str:
    """sha256 of a file, hex; it is read in parts.

    Args:
        path: of the file.
        size: that it should have, in bytes. A larger file is not read.

    Raises:
        FileNotFoundError: there is nothing.
        UnusableFileError: it is a folder, or too large.
    """
    with open_regular(path, size) as file:
        return digest_of(file, os.fstat(file.fileno()).st_size)


def digest_of(file: IO[bytes], length: int, part_bytes: int = _PART) -> str:
    """sha256 of the first bytes of a file, in parts: of some files none is the last."""
    digest = hashlib.sha256()
    while length > 0 and (part := file.read(min(length, part_bytes))):
        digest.update(part)
        length -= len(part)
    return digest.hexdigest()
