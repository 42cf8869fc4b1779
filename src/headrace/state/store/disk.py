"""A local disk: flushing it, what its failures mean, and what a killed process left."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from headrace.errors import DependencyError, HeadraceError, UsageError
from headrace.state.processes import Process, this_process

WORK = ".new-"
_FULL = {errno.ENOSPC, errno.EDQUOT}
_DISK_ERRORS = {*_FULL, errno.EROFS, errno.EIO, errno.EMFILE}
_NOT_ALLOWED = {errno.EACCES, errno.EPERM}
_NOTHING_FREE = 2**20  # bytes; a database cannot grow by less


@contextlib.contextmanager
def disk_errors(where: str) -> Iterator[None]:
    """Turn a failing disk into an error that names the place, as `disk_error` does."""
    try:
        yield
    except OSError as error:
        translated = disk_error(error, where)
        if translated is None:
            raise
        try:
            raise translated from error
        finally:
            del translated  # a cycle would keep files open that its traceback holds


def disk_error(error: OSError, where: str) -> HeadraceError | None:
    """What a failure to write means; None where the disk is not to blame.

    Returns:
        `DependencyError`: the disk is full or fails. `UsageError`: a file below
        ``where`` may not be written.
    """
    number, reason = error.errno, error.strerror
    if isinstance(error, shutil.Error) and os.strerror(errno.ENOSPC) in str(error):
        number, reason = errno.ENOSPC, os.strerror(errno.ENOSPC)  # of many copies
    if number in _DISK_ERRORS:
        is_full = number in _FULL
        return DependencyError(
            f"Writing to {where} failed: {reason}{_free(where)}"
            f"{': the disk is full' * is_full}.",
            "Make room or point HEADRACE_HOME elsewhere, and run the same command "
            "again.",
        )
    if error.errno in _NOT_ALLOWED and str(error.filename or "").startswith(where):
        return UsageError(
            f"{error.filename} cannot be written: {error.strerror}.",
            "Allow that, or set HEADRACE_HOME to a folder that can be written.",
        )
    return None


def full_disk(what: str, where: str) -> DependencyError:
    """The error for a database that could not grow, on a disk that has no room.

    Args:
        what: could not be written.
        where: a path on its disk.
    """
    return DependencyError(
        f"The disk is full: {what} cannot be written{_free(where)}.",
        "Make room or point HEADRACE_HOME elsewhere, and run the same command again.",
        was_retried=True,
    )


def is_full(where: str, needed_bytes: int = _NOTHING_FREE) -> bool:
    """Whether a disk has not even so much room left."""
    try:
        return shutil.disk_usage(where).free < needed_bytes
    except OSError:
        return False


def _free(where: str) -> str:
    try:
        return f" ({shutil.disk_usage(where).free // 2**20} MiB free)"
    except OSError:
        return ""


def fsync_path(path: Path) -> None:
    """Flush a file, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def work_prefix(kind: str = WORK) -> str:
    """How the name of a work folder of this process begins."""
    return f"{kind}{str(this_process()).replace('/', '~')}~"


def sweep(parent: Path, kind: str = WORK) -> None:
    """Delete work folders whose process was killed on this machine."""
    for path in parent.glob(f"{kind}*"):
        written = path.name.removeprefix(kind).rpartition("~")[0]
        process = Process.parse(written.replace("~", "/"))
        if process is not None and process.condition == "gone":
            shutil.rmtree(path, ignore_errors=True)
