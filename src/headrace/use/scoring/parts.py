"""A source that is scored in parts, by several processes or machines.

This process reads the source. A few chunks that it reads are a part: a file in the
store, from which any process makes the rows. A chunk is decoded and answered by itself
in one process, too, so that the rows are the same to the bit. The rows of a part are
kept in the store until the output is written, for a score that goes on after an end.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from headrace.data.decoding import check_media_ratio
from headrace.errors import Refusal
from headrace.media.chunks import Chunk, Source
from headrace.media.forms import Rejected
from headrace.models.logged.loading import version_file
from headrace.stages.clusters import cluster
from headrace.stages.workers import Workers
from headrace.state.home import Home
from headrace.state.ledger.holding import heartbeat, wait_for_collection
from headrace.use.scoring.answering import Answered, Answering, Tally
from headrace.use.scoring.one_part import (
    MODEL,
    PLAN,
    READ,
    Part,
    ScoringPlan,
    code_of,
    fetch,
    score_part,
)
from headrace.use.scoring.packing import of_stream, packed

if TYPE_CHECKING:
    from headrace.settings import Settings
    from headrace.state.anchored import AnchoredStore
    from headrace.state.store import Store

log = logging.getLogger("headrace")


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
        workers: how many parts at once, on the cluster of the settings, else in
            processes of this machine; 0: as the settings have it.

    Raises:
        what `score_part` and `Workers.spread` raise.
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
        max_item_bytes=source.reading.max_item_bytes,
        code=code_of(loaded.description),
    )
    data, store, is_over = plan.model_dump_json().encode(), home.store, False
    digest = hashlib.sha256(data).hexdigest()
    folder = f"scores/{digest}"
    with heartbeat(settings, f"score-{digest[:16]}", model):
        wait_for_collection(settings)
        parts = _Parts(home.anchored, settings.store, folder)
        try:
            if not _has(store, f"{folder}/{MODEL}", version.model_digest):
                with version_file(home.tracking, version) as path:
                    store.write(f"{folder}/{MODEL}", path.read_bytes())
            store.write(f"{folder}/{PLAN}", data)
            with _opened_workers(settings, workers) as several:
                yield parts.answered(source, several)
            is_over = True
        except Refusal:
            is_over = True
            raise
        finally:
            parts.clear(is_over)


def _has(store: Store, key: str, sha256: str) -> bool:
    """Whether a file is there, from an earlier score."""
    with contextlib.suppress(FileNotFoundError):
        return store.digest(key) == sha256
    return False


@contextlib.contextmanager
def _opened_workers(settings: Settings, workers: int) -> Iterator[Workers]:
    with contextlib.ExitStack() as block:
        elsewhere = None
        if workers and settings.dask_address:
            executor, at_once = block.enter_context(cluster(settings))
            elsewhere = executor, min(workers, 2 * at_once)
        elif workers:
            settings = settings.model_copy(update={"max_processes": workers})
        yield block.enter_context(Workers(settings, elsewhere))


class _Parts:
    """The parts of a source, in its order.

    Attributes:
        count: how many are done.
        earlier: how many of them were done before.
    """

    def __init__(self, anchored: AnchoredStore, uri: str, folder: str) -> None:
        self._anchored, self._uri, self._folder = anchored, uri, folder
        self._known = anchored.ledger.files.anchors_below([f"{folder}/"])
        self.count = self.earlier = 0

    def clear(self, is_over: bool) -> None:
        """Delete what another score does not go on from.

        Args:
            is_over: whether the output is written or the source refused. Else the parts
                that are done stay.
        """
        store, ledger = self._anchored.store, self._anchored.ledger
        known = ledger.files.anchors_below([f"{self._folder}/"])
        if is_over:
            ledger.files.anchor(dict.fromkeys(known, ""))
        keeps = known and not is_over
        store.delete_folder(f"{self._folder}/{READ}" if keeps else self._folder)

    def answered(self, source: Source, workers: Workers) -> Answered:
        """The rows of all parts, and what is counted; see `Answering.answered`.

        Raises:
            what `score_part` and `Workers.spread` raise.
        """
        encoded, unpacked, store = 0, 0, self._anchored.store
        for part, sha256 in self._done(source.chunks, workers):
            self.count += 1
            data = fetch(store, part.rows, sha256)
            for rows, facts in of_stream(data, store.uri(part.rows)):
                first = facts.pop("first_failed")
                tally = Tally(first_failed=first and Rejected(**first), **facts)
                encoded, unpacked = encoded + tally.encoded, unpacked + tally.unpacked
                check_media_ratio(source.uri, unpacked, encoded)
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
            for data in packed(chunks):
                digest = hashlib.sha256(data).hexdigest()
                part = Part(self._uri, self._folder, digest)
                begun.append((part, self._kept(part)))
                if not begun[-1][1]:
                    self._anchored.store.write(part.chunks, data)
                    yield part

        for sha256 in workers.spread(score_part, missing()):
            while begun[0][1]:
                yield begun.popleft()
            part, _ = begun.popleft()
            self._anchored.ledger.files.anchor({part.rows: sha256})
            yield part, sha256
        yield from begun

    def _kept(self, part: Part) -> str:
        """The sha256 of the rows that an earlier score has made; empty if none has."""
        sha256 = self._known.get(part.rows, "")
        if not sha256 or self._anchored.read(part.rows, sha256) is None:
            return ""
        self.earlier += 1
        return sha256
