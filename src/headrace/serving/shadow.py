"""The shadow: a version that answers copies of requests, and whose answers nobody gets.

It has a process of its own, which may crash, hang or be killed: no request waits for
it, and copies that it has no time for are dropped and counted. Its answers are
observed as all others are, so they are in the request log, with the request's id.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from headrace.errors import HeadraceError
from headrace.media.forms import Payload
from headrace.records import DataDescription
from headrace.serving.answered import Answered, Observer
from headrace.serving.backoff import Backoff
from headrace.serving.tensors import BATCH_LIMIT
from headrace.serving.waiting import Waiting
from headrace.tasks import difference, task
from headrace.tasks.forms import Outputs

MOST_ROWS, MOST_BYTES = BATCH_LIMIT, 16 * 2**20  # in the queue
_TURN_SECONDS = 0.02
_ROWS_AT_ONCE = 32
_END_SECONDS = 5.0  # a process that is still starting ends with this one
_FULL = 2**64
log = logging.getLogger("headrace")


def fraction_of(request_id: str) -> float:
    """A number in 0..1 that a request's id determines, uniform over ids."""
    digest = hashlib.blake2b(request_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / _FULL


class _Engine(Protocol):
    """What is used of `headrace.models.engines.Engine`."""

    name: str

    def __call__(self, items: Payload) -> Outputs: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ShadowCounts:
    """Rows of copies, for metrics.

    Attributes:
        answered: by the shadow.
        dropped: because it was busy, or did not run.
        restarts: of its process.
        compared: rows whose answers were compared; those that are sounds are not.
        agreement: the share of equal answers; None if nothing was compared, or if
            answers are numbers.
        difference: the mean absolute difference of answers that are numbers, else None.
    """

    answered: int
    dropped: int
    restarts: int
    compared: int
    agreement: float | None
    difference: float | None


class Shadow:
    """An `Observer` that lets another version answer what was answered.

    Args:
        model, version: of the shadow.
        description: of the data that it was trained on.
        open_engine: starts its process; may take long, and may raise.
        observe: gets its answers.
        share: of the requests that are copied, 0..1, by the hash of their ids.
    """

    def __init__(
        self,
        model: str,
        version: int,
        description: DataDescription,
        open_engine: Callable[[], _Engine],
        observe: Observer,
        share: float = 1.0,
    ) -> None:
        self.model, self.version = model, version
        self.description, self._share = description, share
        self._open_engine, self._observe = open_engine, observe
        self._waiting = Waiting(MOST_ROWS, MOST_BYTES)
        self._answered = self._compared = self._lost = 0
        self._total = 0.0
        self._are_numbers = False
        self._same: dict[int, tuple[DataDescription, bool]] = {}
        self._end = threading.Event()
        self._engine: _Engine | None = None
        self._backoff = Backoff()
        name = f"shadow {model}/{version}"
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def counts(self) -> ShadowCounts:
        """What it has answered, and what it has not."""
        compared, dropped = self._compared, self._waiting.refused + self._lost
        mean = self._total / compared if compared else None
        return ShadowCounts(
            self._answered,
            dropped,
            self._backoff.restarts,
            compared,
            agreement=None if self._are_numbers else mean,
            difference=mean if self._are_numbers else None,
        )

    @property
    def is_running(self) -> bool:
        """Whether its process answers."""
        return self._engine is not None

    def __call__(self, answered: Answered) -> None:
        """Queue a copy, or count it as dropped; called in the event loop."""
        if answered.model != self.model or answered.is_named:
            return
        if answered.role not in {"champion", "pinned"}:
            return
        if self._share < 1 and fraction_of(answered.request_id) >= self._share:
            return
        self._waiting.put(answered)

    def close(self) -> None:
        """End it; what is queued is not answered."""
        self._end.set()
        engine = self._engine
        if engine is not None:
            engine.close()  # a thread that waits for its answer goes on
        self._thread.join(_END_SECONDS)

    def _work(self) -> None:
        while not self._end.wait(_TURN_SECONDS):
            if self._engine is None and self._backoff.is_over:
                self._start()
            while self._waiting.rows and not self._end.is_set():
                self._answer(self._waiting.take(_ROWS_AT_ONCE, alike=_are_alike))

    def _start(self) -> None:
        try:
            engine = self._open_engine()
        except (HeadraceError, OSError) as error:
            self._failed(error)
            return
        self._backoff.started()
        self._engine = engine
        if self._end.is_set():
            engine.close()

    def _failed(self, error: Exception) -> None:
        if self._end.is_set():
            return
        if self._engine is not None:
            self._engine.close()
            self._engine = None
        delay = self._backoff.failed()
        log.warning(
            "the shadow %s/%d does not answer, and is started again in %.1f s: %s",
            self.model,
            self.version,
            delay,
            error,
        )

    def _answer(self, copies: Sequence[Answered]) -> None:
        fitting = [c for c in copies if self._is_same(c.description)]
        rows = sum(len(copy.items) for copy in fitting)
        self._lost += sum(len(copy.items) for copy in copies) - rows
        if not fitting:
            return
        if self._engine is None:
            self._lost += rows
            return
        began = time.perf_counter()
        try:
            outputs = self._engine(np.concatenate([copy.items for copy in fitting]))
            milliseconds = 1000 * (time.perf_counter() - began)
            self._compare(fitting, outputs)
        except Exception as error:  # whatever its process sends
            self._lost += rows
            self._failed(error)
            return
        self._answered += rows
        self._report(fitting, outputs, milliseconds, self._engine.name)

    def _is_same(self, description: DataDescription) -> bool:
        """Whether the version that answered takes the same items."""
        cached = self._same.get(id(description))
        if cached is None:
            self._same.clear()  # there is one, until a promotion
            cached = description, not difference(self.description, description)
            self._same[id(description)] = cached
        return cached[1]

    def _compare(self, copies: Sequence[Answered], outputs: Outputs) -> None:
        kind, data = task(self.description.task), self.description
        others = np.concatenate([copy.outputs for copy in copies])
        pairs = zip(
            kind.answers.answers(outputs, data),
            kind.answers.answers(others, data),
            strict=True,
        )
        for own, other in pairs:
            if isinstance(own, float | str):
                self._are_numbers = isinstance(own, float)
                self._total += abs(own - other) if self._are_numbers else own == other
                self._compared += 1

    def _report(
        self, copies: Sequence[Answered], outputs: Outputs, ms: float, engine: str
    ) -> None:
        start = 0
        for copy in copies:
            end = start + len(copy.items)
            self._observe(
                copy._replace(
                    version=self.version,
                    role="shadow",
                    outputs=outputs[start:end],
                    latency_ms=ms,
                    engine=engine,
                    description=self.description,
                )
            )
            start = end


def _are_alike(first: Answered, other: Answered) -> bool:
    """Whether the items of two requests can be answered at once."""
    own, others = first.items, other.items
    return bool(own.dtype == others.dtype and own.shape[1:] == others.shape[1:])
