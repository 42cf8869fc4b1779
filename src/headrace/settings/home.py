"""The home, the folder of all state: its format, its owner and its permissions.

The data may be personal, and the state decides which model is loaded. So only the owner
can access the folder.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
from pathlib import Path

from headrace.errors import DependencyError, UsageError

HOME_FORMAT = "2"
PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
_READABLE = 0o755
_MARKER = "format"
_MOST = 100  # bytes of it
_OTHERS = 0o077
# Of a folder that is a disk of its own, and of one that is to be a home.
_EXPECTED = {"lost+found", "mlflow.db"}

log = logging.getLogger("headrace")


def home_database(home: Path, name: str) -> str:
    """SQLAlchemy URL of a database in a home, an SQLite file."""
    return f"sqlite:///{home.absolute()}/{name}.db"


def prepare(home: Path, *, is_chosen: bool) -> None:
    """Create a home or check its format, and restrict access to its owner.

    Args:
        home: the folder.
        is_chosen: whether the user has named it, as by HEADRACE_HOME.

    Raises:
        UsageError: it was made by another version, belongs to another user and was
            not named, cannot be created, has a path that no URL can have, or is a
            folder of other files that others can access.
        DependencyError: its disk is full.
    """
    marker = home / _MARKER
    if set(str(home.absolute())) & {"%", "?"}:
        raise UsageError(
            f"The home {home} has % or ? in its path, which the URLs of its databases "
            "cannot have.",
            "Set HEADRACE_HOME to another folder, or rename the one above it.",
        )
    try:
        if home.exists():
            _check_owner(home, is_chosen=is_chosen)
        if marker.is_file():
            with marker.open("rb") as file:
                version = file.read(_MOST).decode("utf-8", "replace").strip()
        elif (ledger := home / "headrace.db").exists() and ledger.stat().st_size:
            version = "0"
        else:
            _check_unused(home)
            make_private(home)
            temporary = home / f".format.{os.getpid()}"
            temporary.write_text(HOME_FORMAT + "\n", encoding="utf-8")
            temporary.replace(marker)
            version = HOME_FORMAT
    except OSError as error:
        is_full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        raise (DependencyError if is_full else UsageError)(
            f"The home {home} cannot be written: {error.strerror}.",
            "Make room, or set HEADRACE_HOME to a folder that can be written.",
        ) from None
    if version != HOME_FORMAT:
        raise UsageError(
            f"The home {home} has format {version[:20]!r}; "
            f"this version reads format {HOME_FORMAT!r}.",
            "Use the Headrace that made it, or set HEADRACE_HOME to a new folder.",
        )
    _restrict_access(home)


def _check_unused(home: Path) -> None:
    """Refuse a folder of other files, which would be closed to those who use them."""
    if not home.is_dir() or not stat.S_IMODE(home.stat().st_mode) & _OTHERS:
        return
    others = sorted({path.name for path in home.iterdir()} - _EXPECTED)
    if others:
        raise UsageError(
            f"The folder {home} is no home, and has other files ({others[0]}).",
            "Set HEADRACE_HOME to a new or an empty folder. Only you will have access "
            "to it.",
        )


def check_present(home: Path) -> None:
    """Raise UsageError if a home was deleted: no part of it is to come back."""
    if not (home / _MARKER).exists():
        raise UsageError(
            f"The home {home} is gone.",
            "Restore it, or run a pipeline to make it anew.",
        )


def make_private(folder: Path) -> None:
    """Create a folder that only its owner can access, unless it exists.

    Nobody else can write to the folders above that are made with it.
    """
    missing = [p for p in folder.parent.parents if not p.exists()]
    for parent in [*reversed(missing), folder.parent]:
        parent.mkdir(mode=_READABLE, exist_ok=True)
    folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)


def make_private_file(path: Path) -> None:
    """Create an empty file that only its owner can access, unless it exists."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE_FILE))


def _check_owner(home: Path, *, is_chosen: bool) -> None:
    """Refuse a home that another user has planted in a parent folder.

    Its owner decides which models are loaded and where servers are. Root is trusted.
    """
    owner = home.stat().st_uid
    if owner in (os.geteuid(), 0):
        return
    name = str(owner)
    with contextlib.suppress(KeyError):
        name = home.owner()
    if not is_chosen:
        raise UsageError(
            f"The home {home} belongs to another user ({name}), who could "
            "change what is loaded from it.",
            "Set HEADRACE_HOME to a folder of yours, or to this one if you trust them.",
        )
    log.warning(
        "the home %s belongs to another user (%s), who can read and change all of it",
        home,
        name,
    )


def _restrict_access(home: Path) -> None:
    status = home.stat()
    mode = stat.S_IMODE(status.st_mode)
    if not mode & _OTHERS:
        return
    private = mode & ~_OTHERS
    where = f"the home {home} (mode {mode:03o}), which has your data"
    try:
        if status.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "it belongs to another user")
        home.chmod(private)
    except OSError as error:
        reason = error.strerror
        log.warning("other users can access %s; chmod failed: %s", where, reason)
        return
    now = f"now only you can (mode {private:03o})"
    log.warning("other users could access %s; %s", where, now)
