"""Files of this machine that are read whole or hashed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import IO

from headrace.settings.home import PRIVATE_FILE


@contextlib.contextmanager
def open_regular(path: str | Path) -> Iterator[BufferedReader]:
    """A file, opened for reading.

    Raises:
        FileNotFoundError: there is nothing, a folder, or what the disk cannot read.
    """
    try:
        with open(path, "rb") as file:
            yield file
    except (NotADirectoryError, IsADirectoryError) as error:
        raise FileNotFoundError(error.errno, error.strerror, str(path)) from error
    except OSError as error:
        if error.errno == errno.EIO:
            raise FileNotFoundError(error.errno, error.strerror, str(path)) from error
        raise


def read_file(path: str | Path, most: int = 0) -> bytes:
    """The bytes of a file.

    Args:
        path: of the file.
        most: the bytes that it may have; 0: any number.

    Raises:
        FileNotFoundError: there is none, or it has more bytes.
    """
    with open_regular(path) as file:
        if most and (size := os.fstat(file.fileno()).st_size) > most:
            raise FileNotFoundError(
                f"{path} has {size:,} bytes, and may have {most:,} at most"
            )
        return file.read()


def file_digest(path: str | Path) -> str:
    """sha256 of a file, hex; raises FileNotFoundError if there is none."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_log(path: str | Path, *, is_new: bool = False) -> IO[bytes]:
    """A file to write on at its end, made unless it exists.

    Args:
        path: of the log.
        is_new: whether what it has so far goes.
    """
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if is_new else os.O_APPEND)
    return os.fdopen(os.open(path, flags, PRIVATE_FILE), "wb")
