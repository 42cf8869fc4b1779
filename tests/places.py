"""The folder of a test session: its own, and in memory where there is room.

What Headrace writes reaches the disk before it counts: some 5 ms each time, and none in
memory. pytest's own folder lies below one that all sessions share, and each that starts
takes the right to enter it from a PostgreSQL that another runs, as another user.
"""

import os
import shutil
import tempfile
from pathlib import Path

import psutil

MEMORY = Path("/dev/shm")
ROOM_BYTES = 3 << 30
PREFIX = "headrace-tests-"


def new_base():
    """The folder of this session; those of sessions that have ended go."""
    parent = MEMORY if has_room(MEMORY) else Path(tempfile.gettempdir())
    for place in (MEMORY, parent):
        for left in place.glob(f"{PREFIX}*"):
            if not psutil.pid_exists(int(left.name.removeprefix(PREFIX))):
                shutil.rmtree(left, ignore_errors=True)
    return parent / f"{PREFIX}{os.getpid()}"


def has_room(place):
    """Whether a folder in memory takes what tests write, and runs what they install."""
    try:
        about = os.statvfs(place)
    except OSError:
        return False
    free = min(about.f_bavail * about.f_frsize, psutil.virtual_memory().available)
    return (
        free >= ROOM_BYTES
        and not about.f_flag & os.ST_NOEXEC
        and os.access(place, os.W_OK)
    )
