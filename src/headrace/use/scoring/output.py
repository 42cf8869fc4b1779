"""The file that scoring writes: CSV or Parquet, anywhere, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from fsspec.implementations.local import LocalFileSystem
from pyarrow.csv import CSVWriter
from pyarrow.parquet import ParquetWriter

from headrace.data.sources.places.uris import file_system
from headrace.errors import DependencyError, UsageError
from headrace.settings import Settings
from headrace.signs import FORMULA_START
from headrace.state.disk import disk_errors, fsync_path
from headrace.state.temporary import sweep, work_prefix

SUFFIXES = (".csv", ".parquet")
_TEMPORARY_PREFIX = ".score-"
_ELSEWHERE = (
    "Make room, or give another place for the output, and run the command again."
)
_TRAILING_COLUMNS = ("error", "true_label")
_NUMBER = r"^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$"


@dataclass(frozen=True, slots=True)
class Output:
    """A validated output location."""

    uri: str
    fs: Any
    path: str

    @property
    def suffix(self) -> str:
        """By which the format is chosen: one of `SUFFIXES`."""
        return os.path.splitext(self.path)[1].lower()

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine's disks."""
        return isinstance(self.fs, LocalFileSystem)


def check_output(uri: str, source: str, settings: Settings) -> Output:
    """Validate an output.

    Args:
        uri: a path or any fsspec URI.
        source: the input, which is never written to.
        settings: their storage options are used.

    Raises:
        UsageError: a URI holds a credential, or the output has another suffix, is a
            folder, lies in the input, or its folder does not exist.
    """
    if not uri.lower().endswith(SUFFIXES):
        raise UsageError(
            f"The output {uri} is neither .csv nor .parquet.",
            "Give a name that ends in one of the two.",
        )
    output = Output(uri, *file_system(uri, settings))
    if _is_in(output, source, settings):
        raise UsageError(
            f"The output {uri!r} lies inside the input {source!r}.",
            "Give another place: the input is never written to.",
        )
    if not output.is_local:
        return output
    path = Path(output.path)
    if path.is_dir():
        raise UsageError(
            f"The output {uri} is a folder.", "Give the name of a file in it."
        )
    if not path.parent.is_dir():
        raise UsageError(
            f"The output's folder {path.parent} does not exist.",
            "Make it, or give another place.",
        )
    return output


def _is_in(output: Output, source: str, settings: Settings) -> bool:
    fs, path = file_system(source, settings)
    if output.is_local and isinstance(fs, LocalFileSystem):
        target, origin = Path(output.path).resolve(), Path(path).resolve()
        if target.exists() and origin.exists() and target.samefile(origin):
            return True
        return origin in target.parents
    folder = str(path).rstrip("/") + "/"
    return type(fs) is type(output.fs) and f"{output.path}/".startswith(folder)


@contextlib.contextmanager
def written_whole(output: Output) -> Iterator[Path]:
    """Give a temporary file to fill, and move it to the output at the end of the block.

    Raises:
        UsageError: the output's folder cannot be written to.
        DependencyError: a disk is full, or the place cannot be reached.
    """
    parent = str(Path(output.path).parent) if output.is_local else None
    temporary = tempfile.gettempdir()
    errors = disk_errors(parent, _ELSEWHERE) if parent else disk_errors(temporary)
    with errors:
        try:
            if parent is not None:
                sweep(Path(parent), _TEMPORARY_PREFIX)
            made = tempfile.TemporaryDirectory(
                prefix=work_prefix(_TEMPORARY_PREFIX),
                dir=parent,
                ignore_cleanup_errors=True,
            )
        except (PermissionError, FileNotFoundError, NotADirectoryError) as error:
            raise UsageError(
                f"The output {output.uri} cannot be written: {error.strerror}.",
                "Allow writing to its folder, or give another place.",
            ) from None
        with made as folder:
            file = Path(folder) / f"output{output.suffix}"
            yield file
            fsync_path(file)
            if output.is_local:
                file.replace(output.path)
                fsync_path(Path(output.path).parent)
            else:
                _upload(file, output)


def _upload(file: Path, output: Output) -> None:
    folder, _, name = output.path.rpartition("/")
    temporary = f"{folder}/.{name}.{uuid.uuid4().hex}"
    try:
        output.fs.put_file(str(file), temporary)
        output.fs.mv(temporary, output.path)
    except Exception as error:  # each protocol has exceptions of its own
        with contextlib.suppress(Exception):
            output.fs.rm(temporary)
        raise DependencyError(
            f"Writing {output.uri} failed: {type(error).__name__}: {error}.",
            "Check the connection and the credentials, and run it again.",
        ) from error


def write_output(
    spool: Path, target: Path, constants: dict[str, Any], *, has_labels: bool
) -> None:
    """Write spooled rows in their final form.

    Args:
        spool: an Arrow stream of rows.
        target: the file to write, CSV or Parquet by its suffix.
        constants: columns that have one value in all rows.
        has_labels: whether the column ``true_label`` is kept.
    """
    is_csv, path, writer = target.suffix == ".csv", str(target), None
    with contextlib.ExitStack() as files:
        file = files.enter_context(pa.memory_map(str(spool)))
        rows = files.enter_context(pa.ipc.open_stream(file))
        names = [name for name in rows.schema.names if name not in _TRAILING_COLUMNS]
        # A dictionary of what differs in each row would cost time and space.
        repeated = ["label", *constants, *_TRAILING_COLUMNS]
        names += [*constants, "error"] + ["true_label"] * has_labels
        for batch in rows:
            table = pa.Table.from_batches([batch])
            for name, value in constants.items():
                table = table.append_column(name, pa.repeat(value, len(batch)))
            table = table.select(names)
            if is_csv:
                table = _without_formulas(table)
                writer = writer or files.enter_context(CSVWriter(path, table.schema))
            writer = writer or files.enter_context(
                ParquetWriter(
                    path, table.schema, compression="zstd", use_dictionary=repeated
                )
            )
            writer.write_table(table)


def _without_formulas(table: pa.Table) -> pa.Table:
    """Put ``'`` before each text that a spreadsheet would compute.

    A name or a label comes from whoever made the data, and ``=HYPERLINK(...)`` can send
    the contents of cells to a server. A text that begins with ``'`` gets another one:
    removing one restores every text. Numbers stay as they are.
    """
    columns = [
        _escape(column) if pa.types.is_string(column.type) else column
        for column in table.columns
    ]
    return pa.table(columns, names=table.column_names)


def _escape(column: pa.ChunkedArray) -> pa.ChunkedArray:
    starts = pc.match_substring_regex(column, FORMULA_START)
    is_number = pc.match_substring_regex(column, _NUMBER)
    marked = pc.binary_join_element_wise("'", column, "")
    return pc.if_else(pc.and_not(starts, is_number), marked, column)
