"""Batch scoring: the answers of a model to the items of a source, one row an item.

Items are decoded as the training data was, a part at a time. The rows stay in the store
until the digest of all of them is known; then the output, CSV or Parquet, is written as
a whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import math
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.csv import CSVWriter
from pyarrow.parquet import ParquetWriter

from headrace.data.snapshots.reading import DIGEST
from headrace.data.sources.identity import source_identity
from headrace.data.sources.opening import open_source
from headrace.data.sources.places.uris import file_system
from headrace.display.signs import FORMULA_START
from headrace.errors import DependencyError, UsageError
from headrace.media.arrow import from_hex
from headrace.media.chunks import Source
from headrace.media.forms import Rejected
from headrace.pipeline.checks import check_encoding
from headrace.records import DataDescription, Metrics, Record
from headrace.settings import Settings
from headrace.state.disk import atomic_file, disk_errors
from headrace.state.home import Home
from headrace.state.ledger.records import model_of
from headrace.state.remote import is_local
from headrace.tasks import check_asks_items, task
from headrace.use.rows import SCORE, WEIGHT, ScoredColumns, none_answered, reading_of
from headrace.use.scoring.parts import ScoringJob, kept_parts, rows_of, scored_parts

if TYPE_CHECKING:
    from headrace.models.logged.loading import LoadedModel

log = logging.getLogger("headrace")
Progress = Callable[[int], None]
SUFFIXES = (".csv", ".parquet")
_TRAILING_COLUMNS = ("error", "true_label", SCORE, WEIGHT)
_NUMBER = r"^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
_RECOGNISED = ScoredColumns()


class ScoringRecord(Record):
    """The result of scoring a source.

    Attributes:
        scored, failed: items with a prediction, and those that could not be decoded.
        data_digest: sha256 over the sorted sha256 of all items.
        metrics: the mean score, such as ``accuracy``, over the scored items whose label
            is known; empty if there are none, or if the mean is not finite.
    """

    model: str
    version: int | None
    rows: int
    scored: int
    failed: int
    data_digest: str
    input: str
    output: str
    metrics: Metrics
    seconds: float


def score(  # noqa: PLR0913, what is scored, and how
    model: str,
    source: str,
    output: str,
    settings: Settings,
    progress: Progress | None = None,
    columns: ScoredColumns = _RECOGNISED,
    workers: int = 0,
) -> ScoringRecord:
    """Score all items of a source with a version of a model.

    Args:
        model: ``MODEL``, which is its champion; ``MODEL@champion``; ``MODEL/VERSION``.
        source: a path, any fsspec URI or ``library:name``; it needs no labels.
        output: a path or fsspec URI that ends in .csv or .parquet.
        settings: where the model is; their limits are kept.
        progress: called with the number of items done so far.
        columns: which columns are read and written.
        workers: how many parts are scored at once, on the Dask cluster of the settings,
            else in processes of this machine. 0: as many as the cluster takes, else
            this process scores the whole source.

    Raises:
        UsageError: the output is no such file, has no folder, or lies in the input.
        NotFoundError: there is no such source, or no such version.
        SpecError: the source has no such column.
        SourceError: the source is damaged, or none of its items can be decoded.
        IntegrityError: the model's file is gone or changed.
        DependencyError: a place cannot be reached, or a disk is full.
    """
    from headrace.models.logged.loading import load

    started = time.perf_counter()
    try:
        check_encoding(columns.encoding)
    except ValueError as error:
        raise UsageError(f"--encoding: {error}.", "Name another one.") from None
    check_output(output, source, settings)
    loaded = load(model, settings, at_first_use=True)
    check_asks_items(model, loaded.description)
    name, total = f"{model_of(model)}/{loaded.version}", _Total()
    reading = replace(
        reading_of(loaded, columns.item, columns.label),
        group=columns.id,
        encoding=columns.encoding,
    )
    with open_source(source, settings, reading) as opened:
        for note in opened.notes:
            log.info("score: %s", note)
        logged = len(opened.notes)  # reading adds some
        wanted = _job(opened, name, loaded, columns)
        with kept_parts(wanted, settings) as job:
            keys = list[str]()
            for key in scored_parts(opened, job, settings, workers):
                keys.append(key)
                for rows in rows_of(job, key):
                    total.add(rows)
                if progress is not None:
                    progress(total.rows)
            for note in opened.notes[logged:]:
                log.info("score: %s", note)
            for finding in opened.findings:
                log.warning("score: %s", finding.message)
            total.check_usable(source, loaded.description)
            constants = {"model": model_of(model), "version": loaded.version}
            constants["data_digest"] = digest = total.digest()
            rows = (batch for key in keys for batch in rows_of(job, key))
            form = {"is_csv": output.lower().endswith(".csv")}
            form["has_labels"] = total.labelled > 0
            with written_whole(output, settings) as file:
                write_output(rows, file, constants, **form)
    failed = total.failed.total()
    return ScoringRecord(
        model=model_of(model),
        version=loaded.version,
        rows=total.rows,
        scored=total.rows - failed,
        failed=failed,
        data_digest=digest,
        input=source,
        output=output,
        metrics=total.metrics(loaded.description),
        seconds=round(time.perf_counter() - started, 2),
    )


def _job(
    source: Source, name: str, loaded: LoadedModel, columns: ScoredColumns
) -> ScoringJob:
    settings = loaded.settings or Settings()
    return ScoringJob(
        store=settings.store,
        source=source.uri,
        kind=source.kind,
        identity=source_identity(source.uri, settings, loaded.description.medium),
        model=name,
        model_digest=Home(settings).ledger.find(name).model_digest,
        description=loaded.description,
        columns=columns,
        max_item_bytes=loaded.max_item_bytes,
    )


@dataclass(slots=True)
class _Total:
    """What is known of the rows of a source so far."""

    shas: bytearray = field(default_factory=bytearray)
    failed: Counter[str] = field(default_factory=Counter)
    first_failed: Rejected | None = None
    labelled: int = 0
    score_sum: float = 0.0
    weight_sum: float = 0.0

    @property
    def rows(self) -> int:
        return len(self.shas) // DIGEST.itemsize

    def add(self, rows: pa.RecordBatch) -> None:
        self.shas += from_hex(rows["item"])
        for row in rows.filter(rows["error"].is_valid()).to_pylist():
            check, _, reason = row["error"].partition(": ")
            self.failed[check] += 1
            self.first_failed = self.first_failed or Rejected(
                row["item"], "", "", row["name"], check, reason
            )
        scores, weights = (
            rows[name].drop_null().to_numpy(zero_copy_only=False)
            for name in (SCORE, WEIGHT)
        )
        self.labelled += len(scores)
        self.score_sum += float(scores.sum())
        self.weight_sum += float(weights.sum())

    def digest(self) -> str:
        """The same for the same items in any order."""
        ordered = np.sort(np.frombuffer(bytes(self.shas), DIGEST))
        return hashlib.sha256(ordered.tobytes()).hexdigest()

    def check_usable(self, source: str, data: DataDescription) -> None:
        """Raise SourceError if there is no row with an answer."""
        if self.failed.total() == self.rows:
            raise none_answered(self.failed, self.first_failed, source, data)

    def metrics(self, data: DataDescription) -> Metrics:
        """The mean score over the labelled rows, if it can be had."""
        mean = self.score_sum / (self.weight_sum or 1)
        if not self.labelled:
            return {}
        if math.isfinite(mean):
            return {task(data.task).score: mean}
        log.warning("score: answers to labelled rows are not finite: no mean score")
        return {}


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
        action = "Make room, or give another place for the output, and run it again."
        folder = os.path.dirname(place)
        with disk_errors(folder, action), atomic_file(Path(place)) as file:
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
