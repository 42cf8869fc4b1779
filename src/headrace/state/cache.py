"""The user's cache folder, for what is the same in every home."""

from __future__ import annotations

from pathlib import Path

from headrace.settings import variable
from headrace.settings.home import make_private


def user_cache(name: str = "") -> Path | None:
    """The user's cache folder, or one in it; created if it is missing.

    Returns:
        None if it cannot be created.
    """
    try:
        place = Path(variable("XDG_CACHE_HOME") or Path.home() / ".cache") / "headrace"
        for folder in (place, place / name):
            make_private(folder)
    except (OSError, RuntimeError):  # of a user without a home folder
        return None
    return place / name
