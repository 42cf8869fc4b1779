"""Which processes serve models from a home: each has a file there while it does."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import Field, ValidationError

from headrace.records import Record
from headrace.settings.home import make_private
from headrace.state.disk import atomic_file
from headrace.state.ledger.records import utc_now
from headrace.state.processes import Process, has_ended, this_process

FOLDER = "serving"


class Serving(Record):
    """A process that serves models.

    Attributes:
        url: where it answers.
        models: as they were named; one without a version follows promotions.
        process: its identity, see `Process`.
        since: ISO 8601, UTC.
    """

    url: str = Field(pattern="^https?://")
    models: tuple[str, ...]
    process: str
    since: str

    @property
    def pid(self) -> int:
        """The id of the process; 0 if it is not known."""
        process = Process.parse(self.process)
        return process.pid if process else 0


@contextlib.contextmanager
def announced(home: Path, url: str, models: Sequence[str]) -> Iterator[None]:
    """Name this process among those that serve, during a block.

    A home that cannot be written keeps nobody from serving.
    """
    path = home / FOLDER / f"{os.getpid()}.json"
    own = Serving(
        url=url, models=tuple(models), process=str(this_process()), since=utc_now()
    )
    with contextlib.suppress(OSError):
        make_private(path.parent)
        for other, one in _all(home):
            if one is None or has_ended(one.process):  # was killed
                other.unlink(missing_ok=True)
        with atomic_file(path) as new:
            new.write_text(own.model_dump_json() + "\n", encoding="utf-8")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def servings(home: Path) -> list[Serving]:
    """The processes that serve from a home now, the first one first.

    One of another machine that shares the home counts until its file is gone.
    """
    found = (one for _, one in _all(home) if one and not has_ended(one.process))
    return sorted(found, key=lambda one: one.since)


def _all(home: Path) -> Iterator[tuple[Path, Serving | None]]:
    """Each file, and what it says; None where that is nothing of ours."""
    for path in (home / FOLDER).glob("*.json"):
        try:
            yield path, Serving.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            yield path, None
