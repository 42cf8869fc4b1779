"""The files of the request log: their names, and their expiry."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

FOLDER = "requests"
STREAM, PARQUET = ".arrows", ".parquet"
_NAME = re.compile(r"([01][0-9]|2[0-3])-.*\.(arrows|parquet)", re.DOTALL)


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

    def new_stream(self) -> Path:
        """The path of a new stream."""
        return self.folder / f"{self.start:%H}-{uuid.uuid4().hex}{STREAM}"

    def files(self) -> list[Path]:
        """Its files, sorted by name."""
        return [path for hour, path in _files_of_day(self.folder) if hour == self]

    def paths(self) -> list[Path]:
        """Its files without the streams that are Parquet files already."""
        files = self.files()
        settled = {path for path in files if path.suffix == PARQUET}
        return [p for p in files if p in settled or parquet_of(p) not in settled]


def parquet_of(stream: Path) -> Path:
    """The Parquet file that a stream becomes."""
    return stream.with_suffix(PARQUET)


def root_of(home: Path) -> Path:
    """The folder of all request logs of a home."""
    return home.absolute() / FOLDER


def hours(root: Path, model: str) -> list[Hour]:
    """The hours of a model that have files, oldest first."""
    every = [h for folder, _ in days(root / model) for h, _ in _files_of_day(folder)]
    return list(dict.fromkeys(every))


def _files_of_day(folder: Path) -> Iterator[tuple[Hour, Path]]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        day = datetime.fromisoformat(folder.name).replace(tzinfo=UTC)
        with os.scandir(folder) as entries:
            # A pipe would be waited for, and a link leads anywhere.
            names = sorted(e.name for e in entries if e.is_file(follow_symlinks=False))
        for name in names:
            if match := _NAME.fullmatch(name):
                yield Hour(folder, day.replace(hour=int(match[1]))), folder / name


def days(folder: Path) -> Iterator[tuple[Path, date]]:
    """The folders of days in a model's folder."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for name in sorted(os.listdir(folder)):
            with contextlib.suppress(ValueError):
                day = date.fromisoformat(name)
                if day < date.max:  # whose end is no moment
                    yield folder / name, day


def models(root: Path) -> list[str]:
    """The models that have a log."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(path.name for path in root.iterdir() if path.is_dir())
    return []


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
