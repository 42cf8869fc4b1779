"""Takes rows out of the request logs, as `headrace forget` asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.errors import DependencyError, IntegrityError
from headrace.settings import Settings
from headrace.use.requests.files import Hour, hours, models, new_file, root_of
from headrace.use.requests.merging import only_one

Chooses = Callable[[Sequence[str]], npt.NDArray[np.bool_]]


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
                for path in paths:
                    if count := _take_out(hour, path, chooses):
                        counts[model] = counts.get(model, 0) + count
    return counts


def _take_out(hour: Hour, path: Path, chooses: Chooses) -> int:
    """Replace a file by one without the chosen rows."""
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as error:
        raise IntegrityError(
            f"The request log {path} cannot be read: {error}.",
            "It may have the item. Delete it, and run the same command again.",
        ) from error
    mask = np.asarray(chooses([str(item) for item in table["item"].to_pylist()]), bool)
    if not mask.any():
        return 0
    rest = table.filter(pa.array(~mask)).replace_schema_metadata(None)
    if len(rest):
        with new_file(hour, rest.schema, [path.name]) as writer:
            writer.write_table(rest)
    path.unlink()
    return int(mask.sum())
