"""One folder for all temporary files of a process, so that none outlives a kill.

Temporary files hold rows, models and records. The next process of the same user
deletes those of a process that was killed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from headrace.settings import keeping
from headrace.state.processes import Process, this_process

PREFIX = "headrace-"  # short: sockets lie in it, and their paths may have 107 bytes
_MARK = ".process"
_UNMARKED_SECONDS = 3600.0


@contextlib.contextmanager
def own_temporary_folder() -> Iterator[None]:
    """Use one folder for the temporary files of this process and its children.

    Only the user can read the folder, and it is deleted when the block ends. A nested
    block changes nothing. If the folder cannot be made, the usual place is used.
    """
    parent = _parent()
    if parent is None:
        yield
        return
    sweep_temporary(parent)
    with contextlib.ExitStack() as stack:
        try:
            made = tempfile.TemporaryDirectory(
                prefix=PREFIX, dir=parent, ignore_cleanup_errors=True
            )
            folder = stack.enter_context(made)
            (Path(folder) / _MARK).write_text(str(this_process()), encoding="utf-8")
        except OSError:
            yield
            return
        before = tempfile.tempdir
        stack.enter_context(keeping("TMPDIR"))
        tempfile.tempdir = os.environ["TMPDIR"] = folder
        try:
            yield
        finally:
            tempfile.tempdir = before


def _parent() -> Path | None:
    """Where to make the folder; None if this process has one already."""
    try:
        parent = Path(tempfile.gettempdir())
    except OSError:
        return None
    own = str(this_process())
    return None if _mark(parent) == own else parent


def sweep_temporary(parent: Path) -> None:
    """Delete this user's folders whose process on this machine has ended."""
    for path in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            status = path.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
                continue
            mark = _mark(path)
            process = Process.parse(mark)
            if process is not None and process.condition == "gone":
                shutil.rmtree(path, ignore_errors=True)
            elif not mark and time.time() - status.st_mtime > _UNMARKED_SECONDS:
                path.rmdir()  # its process was killed before it wrote the mark


def _mark(folder: Path) -> str:
    try:
        return (folder / _MARK).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
