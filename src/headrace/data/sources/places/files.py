"""Files on disk, at URIs and in archives, with limits on their size."""

from __future__ import annotations

import contextlib
import errno
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO

from headrace.display.credentials import OPTIONS
from headrace.errors import (
    DependencyError,
    LimitError,
    NotFoundError,
    SourceError,
    UsageError,
)
from headrace.settings import Settings
from headrace.state import hub

_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    OverflowError,
    UnicodeDecodeError,
)


@contextlib.contextmanager
def translate_errors(where: str) -> Iterator[None]:
    """Raise failures to read ``where`` as errors of Headrace."""
    try:
        yield
    except _DAMAGE as error:
        raise _damaged(where, error) from None
    except FileNotFoundError as error:
        if _is_unreachable(error.__cause__):
            raise failed(where, error.__cause__) from None
        raise NotFoundError(f"There is no data at {where}.", _remedy(where)) from None
    except PermissionError as error:
        raise UsageError(
            f"{where} may not be read: {error.strerror or error}.", "Allow reading it."
        ) from None
    except OSError as error:
        if hasattr(error, "response"):  # of the Hub's client
            with hub.translated(where, "read"):
                raise
        # Decompressors raise OSError without errno for invalid bytes, and a damaged
        # offset causes EINVAL.
        is_remote = isinstance(error, (TimeoutError, ConnectionError))
        if error.errno in (None, errno.EINVAL) and not is_remote:
            raise _damaged(where, error) from None
        raise DependencyError(
            f"Reading {where} failed: {error.strerror or error}.",
            "Check the disk or the connection, and run the same command again.",
        ) from error


def _remedy(where: str) -> str:
    """What to do where there is no data: run the script beside it that makes it."""
    if "://" in where:
        login = f"set {OPTIONS} if it asks for a login"
        return f"Check the path, or give another, or {login}."
    script = Path(where).with_name(f"make_{Path(where).name}.py")
    if script.is_file():
        return f"Make it: python {script} {where}"
    return "Check the path, or give another."


def first_line(error: Exception) -> str:
    """The first line of an error's message; its type if there is no message."""
    return next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")


def _is_unreachable(cause: BaseException | None) -> bool:
    """Whether a server failed, which fsspec raises as FileNotFoundError too."""
    if cause is None or isinstance(cause, FileNotFoundError):
        return False
    status: int = getattr(cause, "status", HTTPStatus.INTERNAL_SERVER_ERROR)
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR


def failed(where: str, error: BaseException | None) -> DependencyError:
    """The error for a failure of a remote file system."""
    return DependencyError(
        f"Reading {where} failed: {type(error).__name__}: {error}.",
        "Check the connection and the credentials, and run it again.",
    )


def _damaged(where: str, error: Exception) -> SourceError:
    problem = f"is damaged or cut short: {first_line(error)}"
    return SourceError(f"{where} {problem}.", "Download or make it again.")


@dataclass(frozen=True, slots=True)
class File:
    """A file.

    Attributes:
        where: its place, for messages.
        size: in bytes.
        opener: opens it.
        member: its path in its archive; empty for a file in no archive.
        path: on this machine's disk; empty for any other file.
    """

    where: str
    size: int
    opener: Callable[[], IO[bytes]]
    member: str = ""
    path: str = ""

    @property
    def name(self) -> str:
        """Its name, without a folder."""
        return (self.member or self.where).rpartition("/")[2]

    @contextlib.contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open the file; failures become errors of Headrace."""
        with translate_errors(self.where), self.opener() as file:
            yield file

    def head(self, count: int) -> bytes:
        """The first bytes, at most ``count``."""
        with self.open() as file:
            return file.read(count)

    def read(self) -> bytes:
        """All bytes.

        Raises:
            SourceError: its size has changed.
        """
        try:
            with self.opener() as file:
                data = file.read(self.size + 1)
        except Exception:  # a block for each of many small files would take longer
            with translate_errors(self.where):
                raise
        if len(data) != self.size:
            raise SourceError(
                f"{self.where} gave {len(data):,} bytes of {self.size:,}.",
                "Do not change the data while it is read; run it again.",
            )
        return data


def local_file(path: str | Path, where: str, size: int) -> File:
    """A file on disk."""
    return File(where, size, lambda: open(path, "rb"), path=str(path))


def in_memory(where: str, data: bytes) -> File:
    """Bytes as a file."""
    return File(where, len(data), lambda: io.BytesIO(data))


def check_limits(where: str, members: int, total: int, settings: Settings) -> None:
    """Refuse a tree with too many files or bytes.

    Raises:
        LimitError: it is over ``max_members`` or ``max_bytes`` of the settings.
    """
    if members > settings.max_members:
        raise LimitError(
            f"{where} holds over {settings.max_members:,} files.",
            "Raise HEADRACE_MAX_MEMBERS if that is intended.",
        )
    if total > settings.max_bytes:
        raise LimitError(
            f"{where} unpacks to {total:,} bytes; the limit is {settings.max_bytes:,}.",
            "Raise HEADRACE_MAX_BYTES if that is intended.",
        )
