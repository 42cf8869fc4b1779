"""A limit on the memory of a command and all its descendants, where one can be set."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
# (where groups are made, the file of the limit, the file of the most used)
KINDS = (
    (ROOT / "memory", "memory.limit_in_bytes", "memory.max_usage_in_bytes"),
    (ROOT, "memory.max", "memory.peak"),
)


class Limit:
    """A control group with a limit, or none.

    Attributes:
        command: put before another, it runs that under the limit.
        enforced: how, in words.
    """

    def __init__(self, group: Path | None, most: str = "", size: int = 0) -> None:
        self._most = group / most if group else None
        self.command: list[str] = []
        self.enforced = "no limit could be set here: peaks are only measured"
        if group:
            join = 'echo $$ > "$0" && exec "$@"'
            self.command = ["/bin/sh", "-c", join, str(group / "cgroup.procs")]
            self.enforced = (
                f"{size / 2**30:g} GiB for all processes, by a control group"
            )

    def most_bytes(self) -> int | None:
        """The most that was used, cached files included; None if unknown."""
        with contextlib.suppress(OSError, ValueError):
            return int(self._most.read_text()) if self._most else None
        return None


@contextlib.contextmanager
def limited(size: int) -> Iterator[Limit]:
    """A limit of ``size`` bytes, while the block runs."""
    for root, limit, most in KINDS:
        group = root / f"headrace-bench-{os.getpid()}"
        with contextlib.suppress(OSError):
            group.mkdir()
        if not (group / limit).exists():
            with contextlib.suppress(OSError):
                group.rmdir()
            continue
        try:
            (group / limit).write_text(str(size))
            yield Limit(group, most, size)
        finally:
            with contextlib.suppress(OSError):
                group.rmdir()
        return
    yield Limit(None)
