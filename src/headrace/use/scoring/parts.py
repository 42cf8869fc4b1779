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
import logging
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from headrace import extensions
from headrace.data.decoding import check_media_ratio
from headrace.errors import DependencyError, Refusal, UsageError
from headrace.media.chunks import Reading, Source
from headrace.media.forms import Rejected
from headrace.models.logged.loading import open_model, version_file
from headrace.records import DataDescription, Record
from headrace.stages.ingredients.closure import code_state
from headrace.stages.pieces import Place, opened
from headrace.state.home import Home
from headrace.state.ledger.holding import heartbeat, wait_for_collection
from headrace.state.store import Store
from headrace.tasks import task_modules
from headrace.use.scoring.answering import Answered, Answering, ScoredColumns, Tally
from headrace.use.scoring.packing import as_stream, of_stream, packed, unpacked

if TYPE_CHECKING:
    from headrace.settings import Settings

PLAN = "plan.json"
MODEL = "model.keras"
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
    max_item_bytes: int
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
        return f"{self.folder}/read/{self.digest}.arrow"

    @property
    def rows(self) -> str:
        """The key of its rows with the answers."""
        return f"{self.folder}/{self.digest}.arrow"


@contextlib.contextmanager
def in_parts(
    source: Source,
    answering: Answering,
    model: str,
    settings: Settings,
    workers: int,
) -> Iterator[Answered]:
    """The rows of a source, made in parts, for the block that writes the output.

    Args:
        source: opened.
        answering: by a model that need not be loaded here.
        model: its name.
        settings: where it is, and where the parts are done.
        workers: how many parts at once; 0: as many as the cluster takes.

    Raises:
        what `score_part` and `opened` raise.
    """
    home, loaded = Home(settings), answering.loaded
    store, version = home.store, home.ledger.find(f"{model}/{loaded.version}")
    plan = ScoringPlan(
        source=source.uri,
        kind=source.kind,
        model=f"{model}/{version.version}",
        model_digest=version.model_digest,
        description=loaded.description,
        columns=answering.columns,
        max_item_bytes=source.reading.max_item_bytes,
        code=code_of(loaded.description),
    )
    data = plan.model_dump_json().encode()
    digest = hashlib.sha256(data).hexdigest()
    folder = f"scores/{digest}"
    with heartbeat(settings, f"score-{digest[:16]}", model):
        wait_for_collection(settings)
        with version_file(home.tracking, version) as path:
            store.write(f"{folder}/{MODEL}", path.read_bytes())
        store.write(f"{folder}/{PLAN}", data)
        try:  # TensorFlow's threads are those of one process, and so are the answers
            with opened(settings, workers or sys.maxsize, threads=0) as place:
                yield _answered(source, store, settings.store, folder, place)
        except Refusal:
            store.delete_folder(folder)
            raise
        store.delete_folder(folder)


def _answered(
    source: Source, store: Store, uri: str, folder: str, place: Place
) -> Answered:
    """The rows of all parts, and what is counted; see `Answering.answered`."""
    earlier = done = encoded = unpacked = 0

    def parts() -> Iterator[Part]:
        nonlocal earlier
        for data in packed(source.chunks):
            part = Part(uri, folder, hashlib.sha256(data).hexdigest())
            if store.exists(part.rows):
                earlier += 1
            else:
                store.write(part.chunks, data)
            yield part

    for part, sha256 in place.in_order(score_part, parts()):
        done += 1
        for rows, facts in of_stream(fetch(store, part.rows, sha256)):
            first = facts.pop("first_failed")
            tally = Tally(first_failed=first and Rejected(**first), **facts)
            encoded, unpacked = encoded + tally.encoded, unpacked + tally.unpacked
            check_media_ratio(source.uri, unpacked, encoded)
            yield rows, tally
        store.delete(part.chunks)
    if earlier:
        message = "score: %s of %s parts were there from an earlier score"
        log.info(message, f"{earlier:,}", f"{done:,}")


def score_part(part: Part) -> str:
    """Make the rows of a part, if they are not there; returns their file's sha256.

    Raises:
        SourceError: the source is damaged, or a decompression bomb.
        DependencyError: a file is not in the store, or was changed.
        UsageError: this process has other code than the one that reads the source.
    """
    store = Store(part.store)
    if not store.exists(part.rows):
        with _opening:  # in two threads it would be loaded twice
            plan, answering = _opened(part.store, part.folder)
        chunks = unpacked(fetch(store, part.chunks, part.digest))
        reading = Reading(max_item_bytes=plan.max_item_bytes)
        answered = answering.answered(Source(plan.kind, plan.source, reading, chunks))
        rows = as_stream((rows, asdict(tally)) for rows, tally in answered)
        store.write(part.rows, rows)
    return store.digest(part.rows)


@functools.lru_cache(maxsize=1)
def _opened(uri: str, folder: str) -> tuple[ScoringPlan, Answering]:
    store, digest = Store(uri), folder.rpartition("/")[2]
    plan = ScoringPlan.model_validate_json(fetch(store, f"{folder}/{PLAN}", digest))
    own = code_of(plan.description)
    if other := sorted(dict(own.items() ^ plan.code.items())):
        raise UsageError(
            f"A worker has other code than the process that reads {plan.source}: "
            f"{other[0]} differs, one of {len(other):,}.",
            "Install the same packages on all machines.",
        )
    with tempfile.TemporaryDirectory(prefix="headrace-") as name:
        path = Path(name) / MODEL
        path.write_bytes(fetch(store, f"{folder}/{MODEL}", plan.model_digest))
        loaded = open_model(path, plan.model, plan.description)
    return plan, Answering(loaded, plan.columns)


def code_of(data: DataDescription) -> dict[str, str]:
    """What the rows depend on besides the plan."""
    medium = extensions.modules("media")[data.medium]
    learned = task_modules(data.task, "judge", "words")
    return code_state(["headrace.use.scoring.answering", medium, *learned])


def fetch(store: Store, key: str, sha256: str) -> bytes:
    """A file of the store.

    Raises:
        DependencyError: it is not there, or was changed.
    """
    with contextlib.suppress(FileNotFoundError):
        data = store.read(key)
        if hashlib.sha256(data).hexdigest() == sha256:
            return data
    raise DependencyError(
        f"{store.uri(key)} is gone or was changed, or this machine has another store.",
        "Let all machines share the store's folder, and run the same command again.",
    )
