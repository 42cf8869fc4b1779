"""A local disk: flushing it, what its failures mean, and what a killed process left."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from headrace.errors import DependencyError
from headrace.processes import Process, this_process

WORK = ".new-"
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE}


@contextlib.contextmanager
def disk_errors(where: str) -> Iterator[None]:
    """Turn a failing disk into a `DependencyError` that names the place."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        free = ""
        with contextlib.suppress(OSError):
            free = f" ({shutil.disk_usage(where).free // 2**20} MiB free)"
        raise DependencyError(
            f"Writing to {where} failed: {error.strerror}{free}.",
            "Make room or point HEADRACE_HOME elsewhere, and run the same command "
            "again.",
        ) from error


def fsync_path(path: Path) -> None:
    """Flush a file, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def work_prefix() -> str:
    """How the name of a work folder of this process begins."""
    return f"{WORK}{str(this_process()).replace('/', '~')}~"


def sweep(parent: Path) -> None:
    """Delete work folders whose process was killed on this machine."""
    for path in parent.glob(f"{WORK}*"):
        written = path.name.removeprefix(WORK).rpartition("~")[0]
        process = Process.parse(written.replace("~", "/"))
        if process is not None and process.condition == "gone":
            shutil.rmtree(path, ignore_errors=True)
