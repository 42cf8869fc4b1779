"""The files of the request log: names, writing and expiry."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from headrace.home import make_private, make_private_file
from headrace.state.disk import atomic_file, fsync_path

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

FOLDER = "requests"
SUFFIX = ".parquet"
_REPLACES = b"headrace.replaces"
_HIDDEN = "."  # of a temporary file


class Hour(NamedTuple):
    """One hour of one model's log.

    Attributes:
        folder: of the day.
        start: UTC.
    """

    folder: Path
    start: datetime

    @classmethod
    def of(cls, root: Path, model: str, moment: datetime) -> Hour:
        """The hour that has a moment, which is in UTC."""
        start = moment.replace(minute=0, second=0, microsecond=0)
        return cls(root / model / f"{start:%Y-%m-%d}", start)

    @property
    def end(self) -> datetime:
        """The start of the next hour."""
        return self.start + timedelta(hours=1)

    def new_name(self) -> str:
        """The name of a new file."""
        return f"{self.start:%H}-{uuid.uuid4().hex}{SUFFIX}"

    def paths(self) -> list[Path]:
        """Its files, sorted by name."""
        with contextlib.suppress(FileNotFoundError):
            return sorted(self.folder.glob(f"{self.start:%H}-*{SUFFIX}"))
        return []


def root_of(home: Path) -> Path:
    """The folder of all request logs of a home."""
    return home.absolute() / FOLDER


def hours(root: Path, model: str) -> dict[Hour, list[Path]]:
    """The hours of a model that have files, oldest first, and these."""
    found: dict[Hour, list[Path]] = {}
    for folder, day in days(root / model):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for name in sorted(os.listdir(folder)):
                hour, dash, _ = name.partition("-")
                if dash and name.endswith(SUFFIX) and hour.isdecimal():
                    moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
                    start = moment + timedelta(hours=int(hour))
                    found.setdefault(Hour(folder, start), []).append(folder / name)
    return found


def days(folder: Path) -> Iterator[tuple[Path, date]]:
    """The folders of days in a model's folder."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for name in sorted(os.listdir(folder)):
            with contextlib.suppress(ValueError):
                yield folder / name, date.fromisoformat(name)


def models(root: Path) -> list[str]:
    """The models that have a log."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(path.name for path in root.iterdir() if path.is_dir())
    return []


@contextlib.contextmanager
def new_file(
    hour: Hour, schema: pa.Schema, replaces: Sequence[str] = ()
) -> Iterator[pq.ParquetWriter]:
    """A writer of a new file, which is there whole when the block ends, or not at all.

    Args:
        hour: that its rows are of.
        schema: of the rows.
        replaces: names of the files whose rows it has, which readers then ignore.

    Raises:
        OSError: it cannot be written, as where the disk is full.
    """
    import pyarrow.parquet as pq  # here: a server's process writes no file

    make_private(hour.folder.parent.parent)
    make_private(hour.folder.parent)
    make_private(hour.folder)
    if replaces:
        schema = schema.with_metadata({_REPLACES: json.dumps([*replaces])})
    with atomic_file(hour.folder / hour.new_name()) as temporary:
        make_private_file(temporary)
        # Outputs and statistics do not compress as dictionaries.
        names = ["request_id", "model", "role", "answer", "engine"]
        with pq.ParquetWriter(
            temporary, schema, compression="zstd", use_dictionary=names[1:]
        ) as writer:
            yield writer
    fsync_path(hour.folder)


def replaced_by(metadata: pq.FileMetaData) -> set[str]:
    """The names of the files that a file replaces, by its footer."""
    names = (metadata.metadata or {}).get(_REPLACES)
    return set(json.loads(names)) if names else set()


def expire(root: Path, keep_days: int, today: date | None = None) -> list[Path]:
    """Delete the days that lie ``keep_days`` or more before today.

    Args:
        root: see `root_of`.
        keep_days: at least 1, which keeps today.
        today: UTC; None: that of the clock.

    Returns:
        the deleted folders.
    """
    today = today or datetime.now(UTC).date()
    expired = [
        folder
        for model in models(root)
        for folder, day in days(root / model)
        if (today - day).days >= keep_days
    ]
    for folder in expired:
        shutil.rmtree(folder, ignore_errors=True)
    return expired


def sweep_temporary(folder: Path, older_than_seconds: float) -> None:
    """Delete a day's temporary files that a killed process has left."""
    now = datetime.now(UTC).timestamp()
    for path in folder.glob(f"{_HIDDEN}*{SUFFIX}.*"):
        with contextlib.suppress(FileNotFoundError):
            if now - path.stat().st_mtime > older_than_seconds:
                path.unlink()
