"""Takes rows out of the request logs, as `headrace forget` asks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.errors import DependencyError, IntegrityError
from headrace.serving.requests.files import (
    Hour,
    hours,
    models,
    new_file,
    root_of,
    sweep_temporary,
)
from headrace.serving.requests.merging import delete_replaced, only_one
from headrace.settings import Settings

_STALE_SECONDS = 60.0  # a file that is being written is younger
Chooses = Callable[[Sequence[str]], npt.NDArray[np.bool_]]


def count(settings: Settings, chooses: Chooses) -> dict[str, int]:
    """How many rows of each model's log `take_out` would delete, where it has any.

    Raises:
        IntegrityError: a file is damaged.
    """
    root, counts = root_of(settings.home), dict[str, int]()
    for model in models(root):
        paths = [path for some in hours(root, model).values() for path in some]
        for path in paths:
            with _opened(path) as file:
                rows = sum(int(mask.sum()) for mask in _chosen(file, chooses))
            if rows:
                counts[model] = counts.get(model, 0) + rows
    return counts


def take_out(settings: Settings, chooses: Chooses) -> dict[str, int]:
    """Delete the rows of chosen items from all request logs of a home.

    Args:
        settings: of the home.
        chooses: whether each item goes, by its sha256 in hex, bool ``(n,)``.

    Returns:
        the number of deleted rows by model, of those that had any.

    Raises:
        IntegrityError: a file is damaged.
        DependencyError: a server merges the files of a model right now.
    """
    root, counts = root_of(settings.home), dict[str, int]()
    for model in models(root):
        with only_one(root / model) as ours:
            if not ours:
                raise DependencyError(
                    f"The request log of {model} is being merged by its server.",
                    "Run the same command again: it goes on where it stopped.",
                    was_retried=True,
                )
            for hour, paths in hours(root, model).items():
                sweep_temporary(hour.folder, _STALE_SECONDS)
                if rows := sum(_of_hour(hour, paths, chooses)):
                    counts[model] = counts.get(model, 0) + rows
    return counts


def _of_hour(hour: Hour, paths: Sequence[Path], chooses: Chooses) -> Iterator[int]:
    """Take rows out of the files of an hour; how many, of each file."""
    footers = {}
    for path in paths:
        with _opened(path) as file:
            footers[path] = file.metadata
    gone = delete_replaced(footers)
    for path in footers:
        if path not in gone:
            yield _take_out(hour, path, chooses)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno:  # of the system, not of the data
            raise
        raise IntegrityError(
            f"The request log {path} cannot be read: {error}.",
            "It may have the item. Delete it, and run the same command again.",
        ) from error


def _take_out(hour: Hour, path: Path, chooses: Chooses) -> int:
    """Replace a file by one without the chosen rows; a row group is held at a time."""
    with _opened(path) as file:
        goes = [*_chosen(file, chooses)]
        rows = sum(int(mask.sum()) for mask in goes)
        if not rows:
            return 0
        if rows < file.metadata.num_rows:
            schema = file.schema_arrow.remove_metadata()
            with new_file(hour, schema, [path.name]) as writer:
                for group, mask in enumerate(goes):
                    rest = file.read_row_group(group).filter(pa.array(~mask))
                    writer.write_table(rest.replace_schema_metadata(None))
    path.unlink()
    return rows


def _chosen(file: pq.ParquetFile, chooses: Chooses) -> Iterator[npt.NDArray[np.bool_]]:
    """Which rows of each row group are chosen."""
    for group in range(file.num_row_groups):
        items = file.read_row_group(group, ["item"])["item"].to_pylist()
        yield np.asarray(chooses([*map(str, items)]), bool)
