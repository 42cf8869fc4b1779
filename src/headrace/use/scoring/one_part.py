"""A part of a source, which any process that has the store can score."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from headrace import extensions
from headrace.errors import DependencyError, UsageError
from headrace.media.chunks import Reading, Source
from headrace.models.logged.loading import open_model
from headrace.records import DataDescription, Record
from headrace.stages.ingredients.closure import code_state
from headrace.state.store import Store
from headrace.tasks import task_modules
from headrace.use.scoring.answering import Answering, ScoredColumns
from headrace.use.scoring.packing import as_stream, unpacked

PLAN = "plan.json"
MODEL = "model.keras"
READ = "read"  # the folder of what is not answered yet
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
        return f"{self.folder}/{READ}/{self.digest}.arrow"

    @property
    def rows(self) -> str:
        """The key of its rows with the answers."""
        return f"{self.folder}/{self.digest}.arrow"


def score_part(part: Part) -> str:
    """Make the rows of a part; returns the sha256 of their file.

    Raises:
        SourceError: the source is damaged, or a decompression bomb.
        IntegrityError: the part is not what a score has written.
        DependencyError: a file is not in the store, or was changed.
        UsageError: this process has other code than the one that reads the source.
    """
    store = Store(part.store)
    with _opening:  # in two threads it would be loaded twice
        plan, answering = _opened(part.store, part.folder)
    data = fetch(store, part.chunks, part.digest)
    chunks = unpacked(data, store.uri(part.chunks))
    reading = Reading(max_item_bytes=plan.max_item_bytes)
    source = Source(plan.kind, plan.source, reading, chunks)
    answered = answering.answered(source)
    rows = as_stream((rows, asdict(tally)) for rows, tally in answered)
    store.write(part.rows, rows)
    return hashlib.sha256(rows).hexdigest()


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
        path = Path(name) / "model.keras"
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
