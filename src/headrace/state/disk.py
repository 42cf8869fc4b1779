"""Local disks: atomic writes, and translated errors."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from headrace.errors import DependencyError, HeadraceError, UsageError
from headrace.state.temporary import shared_temporary_folder

_FULL = {errno.ENOSPC, errno.EDQUOT}
_DISK_ERRORS = {*_FULL, errno.EROFS, errno.EIO, errno.EMFILE}
_NOT_ALLOWED = {errno.EACCES, errno.EPERM}
_MAKE_ROOM = (
    "Make room or point HEADRACE_HOME elsewhere, and run the same command again."
)
_MIN_FREE = 2**20  # bytes; a database cannot grow by less


@contextlib.contextmanager
def disk_errors(where: str, mend: str = _MAKE_ROOM) -> Iterator[None]:
    """Translate a disk's errors in a block by `disk_error`."""
    try:
        yield
    except OSError as error:
        translated = disk_error(error, where, mend)
        if translated is None:
            raise
        try:
            raise translated from error
        finally:
            del translated  # else a reference cycle keeps the traceback's files open


@contextlib.contextmanager
def nothing_in_the_way(path: str | Path) -> Iterator[None]:
    """Refuse a file where a folder has to be, or a folder where a file has to be."""
    try:
        yield
    except (IsADirectoryError, NotADirectoryError, FileExistsError) as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror} ({error.filename}).",
            "Move it away, or set HEADRACE_HOME or HEADRACE_STORE to another folder.",
        ) from error


def disk_error(
    error: OSError, where: str, mend: str = _MAKE_ROOM
) -> HeadraceError | None:
    """The error for a failed write; None if the disk is not the cause.

    Args:
        error: of the system, or of Arrow.
        where: a path on the disk.
        mend: what to do where it is full or fails.

    Returns:
        `DependencyError`: the disk is full or fails. `UsageError`: a file below
        ``where`` may not be written.
    """
    number = error.errno
    if isinstance(error, shutil.Error) and os.strerror(errno.ENOSPC) in str(error):
        number = errno.ENOSPC  # of copytree
    if number in _DISK_ERRORS:
        temporary = shared_temporary_folder()
        if number in _FULL and is_full(temporary) and not is_full(where):
            where, mend = temporary, _MAKE_ROOM.replace("HEADRACE_HOME", "TMPDIR")
        full = ": the disk is full" if number in _FULL else ""
        reason = os.strerror(number)
        return DependencyError(
            f"Writing to {where} failed: {reason}{_free(where)}{full}.", mend
        )
    if error.errno in _NOT_ALLOWED and str(error.filename or "").startswith(where):
        return UsageError(
            f"{error.filename} cannot be written: {error.strerror}.",
            "Change its permissions, or set HEADRACE_HOME to a writable folder.",
        )
    return None


def full_disk(what: str, where: str) -> DependencyError:
    """The error for a database that cannot grow because its disk is full.

    Args:
        what: the file that could not be written.
        where: a path on its disk.
    """
    return DependencyError(
        f"The disk is full: {what} cannot be written{_free(where)}.",
        _MAKE_ROOM,
        was_retried=True,
    )


def is_full(where: str, needed_bytes: int = _MIN_FREE) -> bool:
    """Whether a disk has fewer free bytes than needed."""
    with contextlib.suppress(OSError):
        return shutil.disk_usage(where).free < needed_bytes
    return False


def _free(where: str) -> str:
    with contextlib.suppress(OSError):
        return f" ({shutil.disk_usage(where).free // 2**20} MiB free)"
    return ""


def fsync_path(path: Path) -> None:
    """Flush a file, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """A temporary file to fill; it is flushed and renamed to ``target`` at the end."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        yield temporary
        fsync_path(temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
