"""A source that is scored in parts, by several processes or machines.

This process reads the source. A few chunks that it reads are a part: a file in the
store, from which any process makes the rows. A chunk is decoded and answered by itself
in one process, too, so that the rows are the same to the bit. The rows of a part are
kept in the store until the output is written, for a score that goes on after an end.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import tempfile
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from headrace import extensions
from headrace.data.decoding import Limits, check_media_ratio
from headrace.errors import DependencyError, Refusal, UsageError
from headrace.media.chunks import CHUNK_BYTES, Chunk, Source
from headrace.media.forms import Rejected
from headrace.models.logged.loading import open_model, version_file
from headrace.records import DataDescription, Record
from headrace.stages.ingestion.chunks import columns_of, with_rows
from headrace.stages.ingredients.closure import code_state
from headrace.stages.workers import Workers, waiting_threads
from headrace.state.home import Home
from headrace.state.ledger.holding import heartbeat, wait_for_collection
from headrace.state.store import Store
from headrace.tasks import task_modules
from headrace.use.scoring.answering import Answered, Answering, ScoredColumns, Tally

if TYPE_CHECKING:
    from headrace.settings import Settings
    from headrace.state.anchored import AnchoredStore

ROWS = 8192  # of a part, at which no further chunk is added
_PLAN = "plan.json"
_READ = "read"  # the folder of what is not answered yet
_FACTS = b"headrace"  # the key of what is no column
log = logging.getLogger("headrace")
_opening = threading.Lock()


class ScoringPlan(Record):
    """What all parts of a source have in common; they are in a folder of its digest.

    Attributes:
        source, kind: where the items are from, and its format.
        model: name and version.
        model_digest: sha256 of its file.
        code: that makes the rows; see `code_state`.
    """

    source: str
    kind: str
    model: str
    model_digest: str
    description: DataDescription
    columns: ScoredColumns
    limits: Limits
    code: Mapping[str, str]


class Part(NamedTuple):
    """A part of a source, for any process that reaches the store.

    Attributes:
        store: its URI.
        folder: the key of all parts, which ends with the sha256 of their plan.
        digest: sha256 of its chunks.
    """

    store: str
    folder: str
    digest: str

    @property
    def chunks(self) -> str:
        """The key of its rows as they were read."""
        return f"{self.folder}/{_READ}/{self.digest}.arrow"

    @property
    def rows(self) -> str:
        """The key of its rows with the answers."""
        return f"{self.folder}/{self.digest}.arrow"


class PartsPool(Protocol):
    """Workers elsewhere that have the same store and ledger.

    Attributes:
        at_once: how many parts they do at once.
        where: in words.
    """

    at_once: int
    where: str

    def do_part(self, body: dict[str, str]) -> None:
        """Have `do_part` called with this by a worker; returns when that has ended."""

    def stop(self) -> None:
        """Wait no longer."""


def do_part(body: Mapping[str, str], settings: Settings) -> None:
    """Do a part of a source that another process reads, if it is not done.

    Args:
        body: ``folder`` and ``digest`` of the part.
        settings: with the store, and the ledger, which has what the plan must be.

    Raises:
        UsageError: no score with this plan is under way here.
        HeadraceError: as of `score_part`.
    """
    anchored = Home(settings).anchored
    part = Part(settings.store, str(body["folder"]), str(body["digest"]))
    plan = f"{part.folder}/{_PLAN}"
    digest = anchored.ledger.anchors([plan]).get(plan)
    if digest != part.folder.rpartition("/")[2]:
        raise UsageError(
            f"No score on a pool is under way that has the plan {plan} in the ledger.",
            "Start the workers with the same HEADRACE_STORE and HEADRACE_DATABASE_URL.",
        )
    if anchored.read(part.rows) is None:
        anchored.ledger.anchor({part.rows: score_part(part)})


def score_part(part: Part) -> str:
    """Make the rows of a part; returns the sha256 of their file.

    Raises:
        SourceError: it is damaged, or a decompression bomb.
        DependencyError: a file is not in the store, or was changed.
        UsageError: this process has other code than the one that reads the source.
    """
    store = Store(part.store)
    with _opening:  # in two threads it would be loaded twice
        plan, answering = _opened(part.store, part.folder)
    chunks = _unpacked(_read(store, part.chunks, part.digest))
    source = Source(plan.kind, plan.source, chunks=chunks)
    answered = answering.answered(source, plan.limits)
    rows = _as_stream((rows, asdict(tally)) for rows, tally in answered)
    store.write(part.rows, rows)
    return hashlib.sha256(rows).hexdigest()


@functools.lru_cache(maxsize=1)
def _opened(uri: str, folder: str) -> tuple[ScoringPlan, Answering]:
    store, digest = Store(uri), folder.rpartition("/")[2]
    plan = ScoringPlan.model_validate_json(_read(store, f"{folder}/plan.json", digest))
    own = _code_of(plan.description)
    if other := sorted(dict(own.items() ^ plan.code.items())):
        raise UsageError(
            f"A worker has other code than the process that reads {plan.source}: "
            f"{other[0]} differs, one of {len(other):,}.",
            "Install the same packages on all machines.",
        )
    with tempfile.TemporaryDirectory(prefix="headrace-") as name:
        path = Path(name) / "model.keras"
        path.write_bytes(_read(store, f"{folder}/model.keras", plan.model_digest))
        loaded = open_model(path, plan.model, plan.description)
    return plan, Answering(loaded, plan.columns)


def _code_of(data: DataDescription) -> dict[str, str]:
    """What the rows depend on besides the plan."""
    medium = extensions.modules("media")[data.medium]
    learned = task_modules(data.task, "judge", "words")
    return code_state(["headrace.use.scoring.answering", medium, *learned])


def _read(store: Store, key: str, sha256: str) -> bytes:
    with contextlib.suppress(FileNotFoundError):
        data = store.read(key, sha256)
        if hashlib.sha256(data).hexdigest() == sha256:
            return data
    raise DependencyError(
        f"{store.uri(key)} is gone or was changed, or this machine has another store.",
        "Let all machines share the store's folder, and run the same command again.",
    )


@contextlib.contextmanager
def in_parts(
    source: Source,
    answering: Answering,
    limits: Limits,
    model: str,
    settings: Settings,
    workers: int | PartsPool,
) -> Iterator[Answered]:
    """The rows of a source, made in parts, for the block that writes the output.

    Args:
        source: opened.
        answering: by a model that need not be loaded here.
        limits: a larger item is rejected.
        model: its name.
        settings: where it is, and where the parts are done.
        workers: the most processes of this machine, or a pool; 0: as the settings have
            it.

    Raises:
        what `score_part`, `Workers.spread` and the pool raise.
    """
    home, loaded = Home(settings), answering.loaded
    version = home.ledger.find(f"{model}/{loaded.version}")
    plan = ScoringPlan(
        source=source.uri,
        kind=source.kind,
        model=f"{model}/{version.version}",
        model_digest=version.model_digest,
        description=loaded.description,
        columns=answering.columns,
        limits=limits,
        code=_code_of(loaded.description),
    )
    data, store, is_over = plan.model_dump_json().encode(), home.store, False
    digest = hashlib.sha256(data).hexdigest()
    folder, pool = f"scores/{digest}", None if isinstance(workers, int) else workers
    parts = _Parts(home.anchored, settings.store, folder, pool)
    with heartbeat(settings, f"score-{digest[:16]}", model):
        wait_for_collection(settings)
        try:
            with version_file(home.tracking, version) as path:
                store.write(f"{folder}/model.keras", path.read_bytes())
            plans = home.anchored if pool else store
            plans.write(f"{folder}/{_PLAN}", data)
            with _opened_workers(settings, workers) as several:
                yield parts.answered(source, limits, several)
            is_over = True
        except Refusal:
            is_over = True
            raise
        finally:
            parts.clear(is_over)


@contextlib.contextmanager
def _opened_workers(settings: Settings, workers: int | PartsPool) -> Iterator[Workers]:
    with contextlib.ExitStack() as block:
        elsewhere = None
        if not isinstance(workers, int):
            threads = waiting_threads(workers.at_once, workers.stop)
            elsewhere = block.enter_context(threads), workers.at_once
            log.info("score: %d parts at once %s", workers.at_once, workers.where)
        elif workers:
            settings = settings.model_copy(update={"max_processes": workers})
        yield block.enter_context(Workers(settings, elsewhere))


class _Parts:
    """The parts of a source, in its order.

    Attributes:
        count: how many are done.
        earlier: how many of them were done before.
    """

    def __init__(
        self, anchored: AnchoredStore, uri: str, folder: str, pool: PartsPool | None
    ) -> None:
        self._anchored, self._uri, self._folder = anchored, uri, folder
        self._pool = pool
        self.count = self.earlier = 0

    def clear(self, is_over: bool) -> None:
        """Delete what another score does not go on from.

        Args:
            is_over: whether the output is written or the source refused. Else the parts
                that are done stay, and those that a pool is at.
        """
        store, ledger = self._anchored.store, self._anchored.ledger
        read = f"{self._folder}/{_READ}"
        known = ledger.anchors_below([f"{self._folder}/"])
        is_begun = bool(known.keys() - {f"{self._folder}/{_PLAN}"})
        if self._pool is not None:
            is_begun = is_begun or bool(store.names(read))
        if is_over or not is_begun:
            ledger.anchor(dict.fromkeys(known, ""))
        store.delete_folder(read if is_begun and not is_over else self._folder)

    def answered(self, source: Source, limits: Limits, workers: Workers) -> Answered:
        """The rows of all parts, and what is counted; see `Answering.answered`.

        Raises:
            what `score_part` and `Workers.spread` raise.
        """
        encoded, unpacked, store = 0, 0, self._anchored.store
        for part, sha256 in self._done(source.chunks, workers):
            self.count += 1
            for rows, facts in _of_stream(_read(store, part.rows, sha256)):
                first = facts.pop("first_failed")
                tally = Tally(first_failed=first and Rejected(**first), **facts)
                encoded, unpacked = encoded + tally.encoded, unpacked + tally.unpacked
                check_media_ratio(source.uri, unpacked, encoded, limits)
                yield rows, tally
            store.delete(part.chunks)
        if self.earlier:
            message = "score: %s of %s parts were there from an earlier score"
            log.info(message, f"{self.earlier:,}", f"{self.count:,}")

    def _done(
        self, chunks: Iterator[Chunk], workers: Workers
    ) -> Iterator[tuple[Part, str]]:
        """The parts, each once its rows are in the store, with their sha256."""
        begun: deque[tuple[Part, str]] = deque()

        def missing() -> Iterator[Part]:
            for data in _packed(chunks):
                digest = hashlib.sha256(data).hexdigest()
                part = Part(self._uri, self._folder, digest)
                begun.append((part, self._kept(part)))
                if not begun[-1][1]:
                    self._anchored.store.write(part.chunks, data)
                    yield part

        work = self._there if self._pool else score_part
        for sha256 in workers.spread(work, missing()):
            while begun[0][1]:
                yield begun.popleft()
            part, _ = begun.popleft()
            self._anchored.ledger.anchor({part.rows: sha256})
            yield part, sha256
        yield from begun

    def _there(self, part: Part) -> str:
        """Have a part done by the pool; returns the sha256 in the ledger after it."""
        if self._pool is not None:
            self._pool.do_part({"folder": part.folder, "digest": part.digest})
        return self._anchored.ledger.anchors([part.rows]).get(part.rows, "")

    def _kept(self, part: Part) -> str:
        """The sha256 of the rows that an earlier score has made; empty if none has."""
        sha256 = self._anchored.ledger.anchors([part.rows]).get(part.rows, "")
        if not sha256 or self._anchored.read(part.rows, sha256) is None:
            return ""
        self.earlier += 1
        return sha256


def _packed(chunks: Iterable[Chunk]) -> Iterator[bytes]:
    """Parts as Arrow streams of chunks; two differ, whatever is in them."""
    group, number = list[tuple[pa.RecordBatch, dict[str, Any]]](), 0
    for number, chunk in enumerate(chunks):
        one = pa.record_batch(columns_of(chunk)), {"number": number, **_facts(chunk)}
        if group and one[1]["form"] != group[0][1]["form"]:
            yield _as_stream(group)
            group = []
        group.append(one)
        batches = [batch for batch, _ in group]
        is_full = sum(map(len, batches)) >= ROWS
        if is_full or sum(batch.nbytes for batch in batches) >= CHUNK_BYTES:
            yield _as_stream(group)
            group = []
    if group:
        yield _as_stream(group)


def _facts(chunk: Chunk) -> dict[str, Any]:
    """What is no row of a chunk; the form is the type and the shape of an array."""
    items, form = chunk.items, list[Any]()
    if isinstance(items, np.ndarray):
        form = [items.dtype.str, *items.shape[1:]]
    rest = replace(chunk, items=[], labels=[], names=[], groups=[])
    return {"form": form, "chunk": asdict(rest)}


def _unpacked(data: bytes) -> Iterator[Chunk]:
    for rows, facts in _of_stream(data):
        rest = Chunk(**facts["chunk"])
        if facts["form"]:
            dtype, *shape = facts["form"]
            rest = replace(rest, items=np.empty((0, *shape), dtype))
        yield with_rows(rest, pa.Table.from_batches([rows]))


def _as_stream(batches: Iterable[tuple[pa.RecordBatch, dict[str, Any]]]) -> bytes:
    """Rows, and what is said of some together, as an Arrow stream."""
    sink = pa.BufferOutputStream()
    with contextlib.ExitStack() as files:
        writer = None
        for rows, facts in batches:
            if writer is None:
                writer = files.enter_context(pa.ipc.new_stream(sink, rows.schema))
            text = json.dumps(facts, default=np.generic.item)  # of NumPy's numbers
            writer.write_batch(rows, {_FACTS: text})
    return bytes(sink.getvalue())


def _of_stream(data: bytes) -> Iterator[tuple[pa.RecordBatch, dict[str, Any]]]:
    with pa.ipc.open_stream(data) as reader:
        for one in reader.iter_batches_with_custom_metadata():
            yield one.batch, json.loads(one.custom_metadata[_FACTS])
