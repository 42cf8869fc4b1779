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
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from prometheus_client import Metric

from headrace.errors import HeadraceError, UsageError
from headrace.media.forms import Payload
from headrace.records import DataDescription
from headrace.serving.answered import Answered, Observer, Waiting
from headrace.serving.backoff import Backoff
from headrace.serving.metrics import Labels, exposed
from headrace.serving.tensors import BATCH_LIMIT
from headrace.tasks import difference, task
from headrace.tasks.forms import Outputs

if TYPE_CHECKING:
    from headrace.serving.listing import Slot
    from headrace.state.ledger import Ledger, Version

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


class Shadow:
    """An `Observer` that lets another version answer what was answered.

    Args:
        model, version: of the shadow.
        description: of the data that it was trained on.
        open_engine: starts its process; may take long, and may raise.
        observe: gets its answers.
        share: of the requests that are copied, 0..1, by the hash of their ids.

    Attributes:
        answered: rows.
        compared: rows whose answers were compared; those that are sounds are not.
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
        self.answered = self.compared = self._lost = 0
        self._total = 0.0
        self._are_numbers = False
        self._other, self._is_same = description, True
        self._end = threading.Event()
        self._engine: _Engine | None = None
        self._backoff = Backoff()
        name = f"shadow {model}/{version}"
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Rows of copies that were not answered, as it was busy or did not run."""
        return self._waiting.refused + self._lost

    @property
    def restarts(self) -> int:
        """Restarts of its process."""
        return self._backoff.restarts

    @property
    def is_running(self) -> bool:
        """Whether its process answers."""
        return self._engine is not None

    def __call__(self, answered: Answered) -> None:
        """Queue a copy, or count it as dropped; called in the event loop."""
        is_other = answered.model != self.model or answered.is_named
        if is_other or answered.role not in {"champion", "pinned"}:
            return
        if self._share == 1 or fraction_of(answered.request_id) < self._share:
            self._waiting.put(answered)

    def metrics(self) -> Iterator[Metric]:
        """What it has answered, and what it has not."""
        own = {"model": self.model, "version": str(self.version)}
        rows: list[tuple[Labels, float]] = [
            ({**own, "state": "answered"}, self.answered),
            ({**own, "state": "dropped"}, self.dropped),
        ]
        yield exposed("shadow_rows_total", "counter", "Copies for the shadow.", rows)
        about = "Whether the shadow answers."
        yield exposed("shadow_up", "gauge", about, [(own, self.is_running)])
        about = "Restarts of the shadow's process."
        yield exposed("shadow_restarts_total", "counter", about, [(own, self.restarts)])
        if self.compared:
            name, about = "agreement", "Share of its answers that equal those given."
            if self._are_numbers:
                name = "difference"
                about = "Mean absolute difference of its answers from those given."
            mean = [(own, self._total / self.compared)]
            yield exposed(f"shadow_{name}", "gauge", about, mean)

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
        rows = sum(len(copy.items) for copy in copies)
        if self._engine is None or not self._takes(copies[0].description):
            self._lost += rows
            return
        began = time.perf_counter()
        try:
            outputs = self._engine(np.concatenate([copy.items for copy in copies]))
            milliseconds = 1000 * (time.perf_counter() - began)
            self._compare(copies, outputs)
        except Exception as error:  # whatever its process sends
            self._lost += rows
            self._failed(error)
            return
        self.answered += rows
        self._report(copies, outputs, milliseconds, self._engine.name)

    def _takes(self, description: DataDescription) -> bool:
        """Whether the version that answered takes the same items."""
        if description is not self._other:  # there is one, until a promotion
            self._other = description
            self._is_same = not difference(self.description, description)
        return self._is_same

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
                self.compared += 1

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


def find_shadow(name: str, slots: Sequence[Slot], ledger: Ledger) -> Version | None:
    """The version that is to run beside those that answer; None without a name.

    Raises:
        UsageError, NotFoundError: there is no such version of a model that is served,
            it answers already, or it cannot answer the same requests.
    """
    if not name:
        return None
    answering = {s.model: s.current for s in slots if s.current is not None}
    model, slash, _ = name.partition("/")
    if not slash or model not in answering:
        raise UsageError(
            f"--shadow {name!r} is not a version of a model that is served.",
            f"Give MODEL/VERSION of {', '.join(answering)}.",
        )
    row, served = ledger.find(name), answering[model]
    if row.version == served.version:
        raise UsageError(
            f"Version {row.version} of {model} answers already.",
            "Name another version.",
        )
    check_same_requests(
        name, row.description, f"{model}/{served.version}", served.description
    )
    return row


def check_same_requests(
    name: str, description: DataDescription, answering: str, other: DataDescription
) -> None:
    """Refuse a version that cannot answer another's requests.

    Raises:
        UsageError: it takes other items, or has other classes.
    """
    field = difference(description, other)
    if not field:
        return
    if field in description.target or field in other.target:
        field = "target"
    raise UsageError(
        f"{name} cannot answer the requests of {answering}: its {field} is "
        f"{getattr(description, field)!r}, and not {getattr(other, field)!r}.",
        "Name a version that was trained on data of the same form.",
    )


def _are_alike(first: Answered, other: Answered) -> bool:
    """Whether the items of two requests can be answered at once."""
    own, others = first.items, other.items
    is_form = own.dtype == others.dtype and own.shape[1:] == others.shape[1:]
    return bool(is_form and first.description is other.description)
