"""The user's cache folder, for what is the same in every home."""

from __future__ import annotations

import os
from pathlib import Path

from headrace.settings import variable
from headrace.settings.home import make_private

_WRITABLE_BY_OTHERS = 0o022


def user_cache(name: str = "") -> Path | None:
    """The user's cache folder, or one in it; created if it is missing.

    Returns:
        None if it cannot be created, or if others could change what is in it.
    """
    try:
        place = Path(variable("XDG_CACHE_HOME") or Path.home() / ".cache") / "headrace"
        for folder in (place, place / name):
            make_private(folder)
            status = folder.stat()
            if status.st_uid != os.geteuid() or status.st_mode & _WRITABLE_BY_OTHERS:
                return None
    except (OSError, RuntimeError):  # of a user without a home folder
        return None
    return place / name
