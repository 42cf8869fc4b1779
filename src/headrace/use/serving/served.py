"""What answers: versions of models with their engines, immutable references.

A request reads the reference to its version once. A swap replaces the reference; the
former version is closed when its last answer is given.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from headrace.errors import IntegrityError, NotFoundError
from headrace.media import medium
from headrace.records import DataDescription
from headrace.tasks import task
from headrace.use.serving.working import Worker

if TYPE_CHECKING:
    from headrace.media.forms import Payload
    from headrace.settings import Settings
    from headrace.state.ledger import Ledger, Version
    from headrace.tasks.forms import Outputs
    from headrace.use.serving.working import Engine

TOLERANCE = 1e-5  # of golden answers, as in the serving gate
# An engine that is quicker than this answers in the event loop.
INLINE_SECONDS = 0.002
ROWS_AT_ONCE = 64
_WARM_CALLS = 5

OpenEngine = Callable[["Version", "Settings"], "Engine"]


class Answered(NamedTuple):
    """An answer that was given, for observers.

    Attributes:
        role: ``champion``, ``pinned`` or ``canary``.
        items: ``(n, ...)``, as the engine took them.
        outputs: float32 ``(n, ...)``.
        latency: seconds from the request's headers to its outputs.
        engine: the name of the engine.
    """

    request_id: str
    model: str
    version: int
    role: str
    items: Payload
    outputs: Outputs
    latency: float
    engine: str


# Called in the event loop after each answer: it must neither block nor raise.
Observer = Callable[[Answered], None]


class Served:
    """A version of a model with its engine, ready to answer.

    Args:
        version: its row in the ledger.
        engine: what computes its answers.
        role: see `Answered`.

    Attributes:
        inline_rows: so many rows are answered in the event loop; 0: none are.
    """

    def __init__(self, version: Version, engine: Engine, role: str) -> None:
        details = version.details
        self.model, self.version, self.role = version.model, version.version, role
        self.engine = engine
        self.description = DataDescription.model_validate(details["description"])
        self.medium = medium(self.description.medium)
        self.task = task(self.description.task)
        self.created = version.created
        self.write = self.task.answers.json_writer(self.description)
        self.version_header = (b"x-model-version", str(self.version).encode())
        names = json.dumps({"model": self.model, "version": self.version})
        self.start = names[:-1].replace(": ", ":").replace(", ", ",")
        self.inline_rows = 0
        self.worker = Worker(engine, ROWS_AT_ONCE)

    def __str__(self) -> str:
        return f"{self.model} version {self.version}"

    def answer_now(self, items: Payload) -> Outputs | None:
        """The outputs, if they take so little time that nobody need wait; else None.

        An engine is called by one thread at a time.
        """
        if len(items) > self.inline_rows or self.worker.waiting:
            return None
        return self.engine(items)

    async def answer(self, items: Payload) -> Outputs:
        """The outputs for ``(n, ...)`` items, float32 ``(n, ...)``.

        Raises:
            HttpError: the queue is full.
        """
        return await self.worker.answer(items)

    def retire(self) -> None:
        """Close the engine once the last answer of the queue is given."""
        self.worker.close()


class Slot:
    """A model by its name in URLs: the version that answers, and pinned ones.

    Attributes:
        current: what answers where no version is named; replaced as a whole.
        pinned: other versions that can be named.
        choose: picks what answers a request, by its id; None: always ``current``.
        failure: why a newer champion does not answer; empty if it does.
    """

    def __init__(self, model: str, *, follows: bool) -> None:
        self.model = model
        self.follows = follows
        self.current: Served | None = None
        self.pinned: dict[int, Served] = {}
        self.choose: Callable[[str], Served] | None = None
        self.failure = ""

    @property
    def versions(self) -> dict[int, Served]:
        """All that can be named, by version."""
        current = {self.current.version: self.current} if self.current else {}
        return {**self.pinned, **current}


def open_served(
    version: Version, settings: Settings, open_engine: OpenEngine, role: str
) -> Served:
    """Open a version's engine, and check it by its golden answers.

    Raises:
        IntegrityError: it does not give the golden answers, or a file was changed.
        DependencyError: a file cannot be read now.
    """
    engine = open_engine(version, settings)
    try:
        served = Served(version, engine, role)
        _check_golden(served, version, settings)
    except BaseException:
        engine.close()
        raise
    return served


def _check_golden(served: Served, version: Version, settings: Settings) -> None:
    """Compare the golden answers, and measure the time of an answer."""
    with np.load(io.BytesIO(golden_of(version, settings)), allow_pickle=False) as file:
        items, outputs = file["items"], file["outputs"]
    for form in served.medium.variants(items):
        difference = float(np.abs(served.engine(form) - outputs).max())
        if not difference <= TOLERANCE:
            raise IntegrityError(
                f"{served} with the engine {served.engine.name} differs from its "
                f"golden answers by {difference:.2g}; {TOLERANCE:g} is allowed.",
                f"Run `headrace verify {served.model}`.",
            )
    served.inline_rows = _inline_rows(served.engine, served.medium.raw(items))


def _inline_rows(engine: Engine, items: Payload) -> int:
    """How many rows the engine answers so quickly that the event loop can wait."""

    def seconds(rows: int) -> float:
        times = []
        for _ in range(_WARM_CALLS):
            started = time.perf_counter()
            engine(items[:rows])
            times.append(time.perf_counter() - started)
        return min(times)

    single = seconds(1)
    if single > INLINE_SECONDS:
        return 0
    each = max(single / 8, (seconds(len(items)) - single) / max(1, len(items) - 1))
    return min(ROWS_AT_ONCE, 1 + int((INLINE_SECONDS - single) / each))


def golden_of(version: Version, settings: Settings) -> bytes:
    """The golden file of a version, checked by its digest, without MLflow.

    Raises:
        IntegrityError: it is gone or changed.
    """
    from headrace.state.tracking import GOLDEN_FILE, artifacts

    for place in artifacts.run_places(version, settings.artifacts):
        folder = artifacts.local_path(place)
        if folder is not None and (
            artifacts.digest_at(f"{place}/{GOLDEN_FILE}") == version.golden_digest
        ):
            return (folder / GOLDEN_FILE).read_bytes()
    raise IntegrityError(
        f"{GOLDEN_FILE} of run {version.run_id} is gone or was changed.",
        f"Run `headrace repair {version.model}/{version.version}`.",
    )


class Wanted(NamedTuple):
    """A model to serve: its champion, or one version.

    Attributes:
        version: None: the champion, also after a promotion.
    """

    model: str
    version: int | None

    @classmethod
    def parse(cls, name: str) -> Wanted:
        """``MODEL``, ``MODEL@champion`` or ``MODEL/VERSION``; else NotFoundError."""
        model, slash, number = name.partition("/")
        if slash and number.isdecimal():
            return cls(model, int(number))
        model, at, alias = name.partition("@")
        if slash or not model or (at and alias != "champion"):
            raise NotFoundError(
                f"{name!r} is not a model.",
                "Name MODEL, MODEL@champion or MODEL/VERSION.",
            )
        return cls(model, None)

    def find(self, ledger: Ledger) -> Version:
        """The version that answers now; raises NotFoundError."""
        if self.version is None:
            return ledger.find(self.model)
        return ledger.version(self.model, self.version)
