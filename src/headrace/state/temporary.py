"""Temporary folders of a process, and those that killed processes have left.

They hold rows, models and records. Those of a killed process are deleted by the next
one of the same user.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from headrace.settings import restore_variables
from headrace.state.processes import has_ended, this_process

WORK = ".new-"
PREFIX = "headrace-"  # short, since socket paths in it are limited to 107 bytes
_OWNER_FILE = ".process"


def work_prefix(kind: str = WORK) -> str:
    """The prefix of the names of this process's work folders."""
    return f"{kind}{str(this_process()).replace('/', '~')}~"


def sweep(parent: Path, kind: str = WORK) -> None:
    """Delete work folders whose process on this machine has ended."""
    for path in parent.glob(f"{kind}*"):
        owner = path.name.removeprefix(kind).rpartition("~")[0]
        if has_ended(owner.replace("~", "/")):
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def own_temporary_folder() -> Iterator[None]:
    """Use one folder for the temporary files of this process and its children.

    Only the user can read the folder, and it is deleted when the block ends. The block
    is re-entrant. If the folder cannot be made, the system's default is used.
    """
    try:
        parent = Path(tempfile.gettempdir())
        is_own = _owner(parent) == str(this_process())
    except OSError:
        is_own = True
    if is_own:
        yield
        return
    sweep_temporary(parent)
    with contextlib.ExitStack() as stack:
        try:
            temporary = tempfile.TemporaryDirectory(
                prefix=PREFIX, dir=parent, ignore_cleanup_errors=True
            )
            folder = stack.enter_context(temporary)
            Path(folder, _OWNER_FILE).write_text(str(this_process()), encoding="utf-8")
        except OSError:
            yield
            return
        stack.callback(setattr, tempfile, "tempdir", tempfile.tempdir)
        stack.enter_context(restore_variables("TMPDIR"))
        tempfile.tempdir = os.environ["TMPDIR"] = folder
        yield


def shared_temporary_folder() -> str:
    """The system's temporary folder, where this process has one of its own in it."""
    folder = Path(tempfile.gettempdir())
    return str(folder.parent if _owner(folder) == str(this_process()) else folder)


def sweep_temporary(parent: Path) -> None:
    """Delete this user's folders whose process on this machine has ended."""
    for path in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            status = path.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
                continue
            if has_ended(_owner(path)):
                shutil.rmtree(path, ignore_errors=True)


def _owner(folder: Path) -> str:
    with contextlib.suppress(OSError):
        return (folder / _OWNER_FILE).read_text(encoding="utf-8", errors="replace")
    return ""
