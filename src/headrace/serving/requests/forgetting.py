"""Deletes the files of request logs that have some items, as `headrace forget` asks."""

from __future__ import annotations

import contextlib
import fcntl
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from headrace.serving.requests.contents import LogFile, is_there
from headrace.serving.requests.files import hours, models, parquet_of, root_of
from headrace.settings import Settings

Chooses = Callable[[Sequence[str]], npt.NDArray[np.bool_]]


def find_files(settings: Settings, chooses: Chooses) -> dict[str, list[Path]]:
    """The files that have chosen items, by model.

    Args:
        settings: of the home.
        chooses: whether each item is meant, by its sha256 in hex, bool ``(n,)``.

    Raises:
        IntegrityError: a file is damaged.
    """
    found = defaultdict[str, list[Path]](list)
    for model, file in _locked(settings):
        if _has_items(file, chooses):
            found[model].append(file.path)
    return dict(found)


def delete_files(settings: Settings, chooses: Chooses) -> int:
    """Delete these files; a server that writes to one of them begins another one.

    Returns:
        the number of deleted files.

    Raises:
        IntegrityError: a file is damaged.
    """
    count = 0
    for _, file in _locked(settings):
        if _has_items(file, chooses):
            parquet = parquet_of(file.path)  # a killed process may have begun to write
            for begun in parquet.parent.glob(f".{parquet.name}.*"):
                begun.unlink()
            file.path.unlink()
            count += 1
    return count


def _locked(settings: Settings) -> Iterator[tuple[str, LogFile]]:
    """Each file with its model, while no server appends to it or settles it."""
    root = root_of(settings.home)
    for model in models(root):
        for hour in hours(root, model):
            done = set[Path]()
            while left := [path for path in hour.files() if path not in done]:
                for path in left:
                    with contextlib.suppress(FileNotFoundError), LogFile(path) as file:
                        fcntl.flock(file.stream, fcntl.LOCK_EX)
                        if is_there(file.stream):  # else a server has settled it
                            yield model, file
                done.update(left)


def _has_items(file: LogFile, chooses: Chooses) -> bool:
    return any(
        np.any(chooses([*map(str, table["item"].to_pylist())]))
        for table in file.tables(["item"])
    )
