"""A source is scored in parts, by threads, or by other processes or machines.

This process reads the source. A part is some rows that it has read: the rows with their
answers are a file in the store, made by itself wherever it is made, so that they are
the same to the bit. The files stay until the output is written, for a score that goes
on after an end.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from headrace.errors import DependencyError, Refusal
from headrace.media.chunks import Chunk, Reading, Source
from headrace.models.logged.loading import open_model, version_file
from headrace.records import DataDescription, Record
from headrace.stages import pieces
from headrace.stages.pieces import Place
from headrace.state.home import Home
from headrace.state.ledger.holding import heartbeat, wait_for_collection
from headrace.state.ledger.records import model_of
from headrace.state.store import Store
from headrace.use.rows import ScoredColumns, answered

if TYPE_CHECKING:
    from headrace.models.logged.loading import LoadedModel
    from headrace.settings import Settings

MODEL = "model.keras"
ROWS = 8192  # of a part at most
THREADS = 3  # some compute while another decodes
log = logging.getLogger("headrace")
_loading = threading.Lock()


class ScoringJob(Record):
    """A source to score, for any process that reaches the store.

    Attributes:
        store: its URI.
        source, kind: where the items are from, and its format.
        identity: of the source, which changes with it.
        model: name and version.
        model_digest: sha256 of its file.
        headrace: the version of Headrace.
    """

    store: str
    source: str
    kind: str
    identity: str
    model: str
    model_digest: str
    description: DataDescription
    columns: ScoredColumns
    max_item_bytes: int
    headrace: str = version("headrace")

    @property
    def folder(self) -> str:
        """The key of all parts; other jobs have others."""
        text = self.model_dump_json()
        return f"scores/{hashlib.sha256(text.encode()).hexdigest()}"


class Part(NamedTuple):
    """A part of a source: the key of its file, and its rows unless it is there."""

    key: str
    chunk: Chunk | None


@contextlib.contextmanager
def kept_parts(job: ScoringJob, settings: Settings) -> Iterator[ScoringJob]:
    """Delete the parts of a source at the end of the block, unless it is stopped.

    They stay for a later one if it lacks something, too. Two blocks of equal jobs run
    one after the other. In a home that can only be read no parts are kept.

    Yields:
        the job, with the store that has its parts.
    """
    if not os.access(settings.home, os.W_OK):
        with tempfile.TemporaryDirectory(prefix="headrace-") as place:
            yield job.model_copy(update={"store": place})
        return
    folder, store = job.folder, Store(job.store)
    with heartbeat(settings, folder.replace("/", "-"), model_of(job.model)):
        wait_for_collection(settings)
        try:
            yield job
        except Refusal:
            store.delete_folder(folder)
            raise
        store.delete_folder(folder)


def scored_parts(
    source: Source, job: ScoringJob, settings: Settings, workers: int
) -> Iterator[str]:
    """The keys of the parts of a source, in its order, when their files are there.

    Args:
        source: opened.
        job: says what to do with its rows.
        settings: where the parts are done.
        workers: how many at once; 0: as many as the cluster takes, else by threads of
            this process.

    Raises:
        what `score_part` and `opened` raise.
    """
    home, store, folder = Home(settings), Store(job.store), job.folder
    earlier = count = 0
    with version_file(home.tracking, home.ledger.find(job.model)) as path:
        store.write(f"{folder}/{MODEL}", path.read_bytes())
    keys = (f"{folder}/{number:08}.arrow" for number in itertools.count())
    parts = (
        Part(key, None if store.exists(key) else chunk)
        for key, chunk in zip(keys, _cut(source), strict=False)
    )
    if workers or settings.dask_address:
        # TensorFlow's threads are those of one process, and so are the answers.
        opened = pieces.opened(settings, workers or sys.maxsize, threads=0)
    else:
        opened = _threads(settings)
    with opened as place:
        for key, is_new in place.in_order(functools.partial(score_part, job), parts):
            earlier, count = earlier + (not is_new), count + 1
            yield key
    if earlier:
        message = "score: %s of %s parts were there from an earlier score"
        log.info(message, f"{earlier:,}", f"{count:,}")


def _cut(source: Source) -> Iterator[Chunk]:
    for chunk in source.chunks:
        for start in range(0, len(chunk.items), ROWS):
            yield chunk.cut(start, start + ROWS)


@contextlib.contextmanager
def _threads(settings: Settings) -> Iterator[Place]:
    with ThreadPoolExecutor(THREADS, "score") as threads:
        yield Place(threads, THREADS, "in this process", settings)


def score_part(job: ScoringJob, part: Part) -> tuple[str, bool]:
    """Make the file of a part, if it is not there; its key, and whether it is new.

    Raises:
        SourceError: the source is damaged, or a decompression bomb.
        DependencyError: the model is not in the store, or was changed.
    """
    if part.chunk is None:
        return part.key, False
    with _loading:  # in two threads it would be loaded twice
        loaded = _load(job.model_dump_json())
    reading = Reading(max_item_bytes=job.max_item_bytes)
    source = Source(job.kind, job.source, reading, iter([part.chunk]))
    rows = answered(source, loaded, with_id=job.columns.id is not None)
    table, sink = pa.Table.from_batches(rows), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    Store(job.store).write(part.key, bytes(sink.getvalue()))
    return part.key, True


@functools.lru_cache(maxsize=1)
def _load(text: str) -> LoadedModel:
    job = ScoringJob.model_validate_json(text)
    store, key = Store(job.store), f"{job.folder}/{MODEL}"
    with contextlib.suppress(FileNotFoundError):
        data = store.read(key)
        if hashlib.sha256(data).hexdigest() == job.model_digest:
            with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
                path = Path(folder) / MODEL
                path.write_bytes(data)
                return open_model(path, job.model, job.description)
    raise DependencyError(
        f"{store.uri(key)} is gone or was changed, or this machine has another store.",
        "Let all machines share the store's folder, and run the same command again.",
    )


def rows_of(job: ScoringJob, key: str) -> Iterator[pa.RecordBatch]:
    """The rows of a part, some together."""
    with pa.ipc.open_stream(Store(job.store).read(key)) as rows:
        yield from rows
