"""The file that scoring writes: CSV or Parquet, anywhere, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.csv import CSVWriter
from pyarrow.parquet import ParquetWriter

from headrace.data.sources.places.uris import file_system
from headrace.display.signs import FORMULA_START
from headrace.errors import DependencyError, UsageError
from headrace.settings import Settings
from headrace.state.disk import atomic_file, disk_errors
from headrace.state.remote import is_local
from headrace.use.rows import SCORE, WEIGHT

SUFFIXES = (".csv", ".parquet")
_ELSEWHERE = (
    "Make room, or give another place for the output, and run the command again."
)
_TRAILING_COLUMNS = ("error", "true_label", SCORE, WEIGHT)
_NUMBER = r"^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$"


def check_output(uri: str, source: str, settings: Settings) -> None:
    """Refuse an output before anything is scored.

    Args:
        uri: a path or any fsspec URI.
        source: the input, which is never written to.
        settings: their storage options are used.

    Raises:
        UsageError: a URI holds a credential, or the output has another suffix, is a
            folder, lies in the input, or its folder cannot be written to.
    """
    if not uri.lower().endswith(SUFFIXES):
        raise UsageError(
            f"The output {uri} is neither .csv nor .parquet.",
            "Give a name that ends in one of the two.",
        )
    (fs, place), (of_source, origin) = (file_system(x, settings) for x in (uri, source))
    if is_local(fs):
        path = Path(place)
        if path.is_dir() or not os.access(path.parent, os.W_OK):
            problem = f"is a folder, or its folder {path.parent} does not exist or "
            problem += "cannot be written to"
            raise UsageError(f"The output {uri} {problem}.", "Give another place.")
        place, origin = (str(Path(name).resolve()) for name in (place, origin))
    inside = f"{place}/".startswith(f"{origin.rstrip('/')}/")
    if inside and type(fs) is type(of_source):
        raise UsageError(
            f"The output {uri!r} lies inside the input {source!r}.",
            "Give another place: the input is never written to.",
        )


@contextlib.contextmanager
def written_whole(uri: str, settings: Settings) -> Iterator[Path]:
    """Give a temporary file to fill, and move it to the output at the end of the block.

    Raises:
        DependencyError: a disk is full, or the place cannot be reached.
    """
    fs, place = file_system(uri, settings)
    if is_local(fs):
        with (
            disk_errors(os.path.dirname(place), _ELSEWHERE),
            atomic_file(Path(place)) as file,
        ):
            yield file
        return
    with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        file = Path(folder) / "output"
        with disk_errors(folder):
            yield file
        try:
            fs.put_file(str(file), place)
        except Exception as error:  # each protocol has exceptions of its own
            raise DependencyError(
                f"Writing {uri} failed: {type(error).__name__}: {error}.",
                "Check the connection and the credentials, and run it again.",
            ) from error


def write_output(
    parts: Iterable[pa.RecordBatch],
    target: Path,
    constants: dict[str, Any],
    *,
    is_csv: bool,
    has_labels: bool,
) -> None:
    """Write rows in their final form.

    Args:
        parts: some rows each.
        target: the file to write.
        constants: columns that have one value in all rows.
        is_csv: else Parquet is written.
        has_labels: whether the column ``true_label`` is kept.
    """
    # A dictionary of what differs in each row would cost time and space.
    repeated = ["label", *constants, *_TRAILING_COLUMNS]
    as_parquet = partial(ParquetWriter, compression="zstd", use_dictionary=repeated)
    make: Callable[..., Any] = CSVWriter if is_csv else as_parquet
    with contextlib.ExitStack() as files:
        writer = None
        for rows in parts:
            table = pa.Table.from_batches([rows])
            for name, value in constants.items():
                table = table.append_column(name, pa.repeat(value, len(rows)))
            names = [n for n in rows.schema.names if n not in _TRAILING_COLUMNS]
            names += [*constants, "error"] + ["true_label"] * has_labels
            table = table.select(names)
            table = _without_formulas(table) if is_csv else table
            writer = writer or files.enter_context(make(str(target), table.schema))
            writer.write_table(table)


def _without_formulas(table: pa.Table) -> pa.Table:
    """Put ``'`` before each text that a spreadsheet would compute.

    A name or a label comes from whoever made the data, and ``=HYPERLINK(...)`` can send
    the contents of cells to a server. A text that begins with ``'`` gets another one:
    removing one restores every text. Numbers stay as they are.
    """
    for place, name in enumerate(table.column_names):
        column = table[name]
        if pa.types.is_string(column.type):
            starts = pc.match_substring_regex(column, FORMULA_START)
            is_number = pc.match_substring_regex(column, _NUMBER)
            marked = pc.binary_join_element_wise("'", column, "")
            safe = pc.if_else(pc.and_not(starts, is_number), marked, column)
            table = table.set_column(place, name, safe)
    return table
