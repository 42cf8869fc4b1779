"""Takes rows out of the request logs, as `headrace forget` asks."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.serving.requests.files import Hour, hours, models, root_of
from headrace.serving.requests.reading import opened
from headrace.serving.requests.settling import Chooses as InTable
from headrace.serving.requests.settling import settle
from headrace.settings import Settings

Chooses = Callable[[Sequence[str]], npt.NDArray[np.bool_]]


def count(settings: Settings, chooses: Chooses) -> dict[str, int]:
    """How many rows of each model's log `take_out` would delete, where it has any.

    Raises:
        IntegrityError: a file is damaged.
    """
    root, counts, chosen = root_of(settings.home), Counter[str](), _in_table(chooses)
    for model in models(root):
        for hour in hours(root, model):
            with contextlib.ExitStack() as stack:
                for file in opened(hour, stack):
                    tables = file.tables(["item"])
                    counts[model] += sum(int(chosen(part).sum()) for part in tables)
    return dict(+counts)


def take_out(settings: Settings, chooses: Chooses) -> dict[str, int]:
    """Delete the rows of chosen items from all request logs of a home.

    Servers may go on writing: a stream that has such rows becomes a Parquet file
    without them, and its server begins another one.

    Args:
        settings: of the home.
        chooses: whether each item goes, by its sha256 in hex, bool ``(n,)``.

    Returns:
        the number of deleted rows by model, of those that had any.

    Raises:
        IntegrityError: a file is damaged.
    """
    root, counts, chosen = root_of(settings.home), Counter[str](), _in_table(chooses)
    for model in models(root):
        for hour in hours(root, model):
            counts[model] += _of_hour(hour, chosen)
    return dict(+counts)


def _of_hour(hour: Hour, chosen: InTable) -> int:
    """Take rows out of all files of an hour; how many."""
    rows, done = 0, set[Path]()
    while left := [path for path in hour.files() if path not in done]:
        for path in left:
            with contextlib.suppress(FileNotFoundError):  # a server has settled it
                rows += settle(path, chosen)
        done.update(left)
    return rows


def _in_table(chooses: Chooses) -> InTable:
    """Which rows of a table are chosen."""

    def chosen(table: pa.Table) -> npt.NDArray[np.bool_]:
        return np.asarray(chooses([*map(str, table["item"].to_pylist())]), bool)

    return chosen
