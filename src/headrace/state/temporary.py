"""One folder for all temporary files of a process, so that none outlives a kill.

They hold rows, models and records: what a process that was killed has left is deleted
by the next one of the same user.
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
    """Have what this process, and those it starts, write for a while in one folder.

    It is the user's alone, and gone when the block ends; inside another such block
    nothing changes. Where it cannot be made, files are where they would be without.
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
    """Where the folder is to be; None where there is one of this process already."""
    try:
        parent = Path(tempfile.gettempdir())
    except OSError:
        return None
    own = str(this_process())
    return None if _mark(parent) == own else parent


def sweep_temporary(parent: Path) -> None:
    """Delete folders of this user whose process was killed on this machine."""
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
                path.rmdir()  # killed before it was marked; others have something in it


def _mark(folder: Path) -> str:
    try:
        return (folder / _MARK).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
