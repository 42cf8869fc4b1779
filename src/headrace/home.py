"""The folder where state lives: its format, its owner, and who else may look into it.

What is learned from may be personal, and what is written here decides which model is
loaded: so the folder is its owner's alone.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
from pathlib import Path

from headrace.errors import DependencyError, UsageError

HOME_FORMAT = "1"
PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
_PASSABLE = 0o711
_POSTGRES = "postgres"
_OTHERS = 0o077

log = logging.getLogger("headrace")


def prepare(home: Path, *, is_chosen: bool) -> None:
    """Make a home that only its owner can read, or make it so; check its format.

    One that cannot be written is left as it is: its state can be read.

    Args:
        home: the folder.
        is_chosen: somebody has named it, as by HEADRACE_HOME; it was not found.

    Raises:
        UsageError: it was made by another version, belongs to another user and was
            only found, or cannot be made.
        DependencyError: its disk is full.
    """
    marker = home / "format"
    try:
        if home.exists():
            _check_owner(home, is_chosen=is_chosen)
        if marker.exists():
            found = marker.read_text(encoding="utf-8", errors="replace").strip()
        elif home.is_dir() and (home / "headrace.db").exists():
            found = "0"
        else:
            make_private(home)
            temporary = home / f".format.{os.getpid()}"
            temporary.write_text(HOME_FORMAT + "\n", encoding="utf-8")
            temporary.replace(marker)
            found = HOME_FORMAT
    except OSError as error:
        is_full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        raise (DependencyError if is_full else UsageError)(
            f"The home {home} cannot be written: {error.strerror}.",
            "Make room, or set HEADRACE_HOME to a folder that can be written.",
        ) from None
    if found != HOME_FORMAT:
        raise UsageError(
            f"The home {home} has format {found[:20]!r}; "
            f"this version reads format {HOME_FORMAT!r}.",
            "Use the Headrace that made it, or set HEADRACE_HOME to a new folder.",
        )
    _close(home)


def make_private(folder: Path) -> None:
    """Make a folder that only its owner can read; one that is there stays as it is."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)


def make_private_file(path: Path) -> None:
    """Make an empty file that only its owner can read, if it is not there."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE_FILE))


def _check_owner(home: Path, *, is_chosen: bool) -> None:
    """Refuse a home that another user has put where it would be found.

    Who owns it decides what is loaded and where servers are. Root could do so anyway.
    """
    owner, user = home.stat().st_uid, os.geteuid()
    if owner in (user, 0):
        return
    if not is_chosen:
        raise UsageError(
            f"The home {home} belongs to another user ({_name(owner)}), who could "
            "change what is loaded from it.",
            "Set HEADRACE_HOME to a folder of yours, or to this one if you trust them.",
        )
    log.warning(
        "the home %s belongs to another user (%s), who can read and change all of it",
        home,
        _name(owner),
    )


def _close(home: Path) -> None:
    """Let only the owner into a home, and say so where that was otherwise."""
    status = home.stat()
    mode = stat.S_IMODE(status.st_mode)
    if not mode & _OTHERS:
        return
    closed = mode & ~_OTHERS
    if _has_postgres(home):  # it must pass, also while it starts
        closed |= _PASSABLE
        for path in home.iterdir():
            if not path.name.startswith(_POSTGRES) and not path.is_symlink():
                _take_from_others(path)
    if mode == closed:
        return
    try:
        if status.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "it belongs to another user")
        home.chmod(closed)
    except OSError as error:
        log.warning(
            "other users may look into the home %s (mode %03o), which holds your data; "
            "that cannot be changed: %s",
            home,
            mode,
            error.strerror,
        )
        return
    log.warning(
        "other users could look into the home %s (mode %03o), which holds your data; "
        "from now on only you can (mode %03o)",
        home,
        mode,
        closed,
    )


def _has_postgres(home: Path) -> bool:
    """Whether its PostgreSQL may run as a user who has to pass through the home.

    That is so where root starts it.
    """
    return any((home / name).is_dir() for name in (_POSTGRES, f"{_POSTGRES}.new"))


def _take_from_others(path: Path) -> None:
    with contextlib.suppress(OSError):  # it may be gone, or another's
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & _OTHERS:
            path.chmod(mode & ~_OTHERS)


def _name(user: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)
