"""An engine in a process of its own: TensorFlow stays there, and so does a crash."""

from __future__ import annotations

import numpy as np

from headrace.media.forms import Payload
from headrace.models.engines.batching import Batching
from headrace.models.logged.loading import rows_at_once
from headrace.settings import Settings
from headrace.state.frames import FramedProcess, packed, unpacked
from headrace.state.ledger.records import Version
from headrace.tasks.forms import Outputs

MODULE = "headrace.models.engines.answering"
START_SECONDS = 300.0
ANSWER_SECONDS = 60.0
MOST_WAITING = 1024  # requests; more are refused
MERGED = 32  # items of several requests that it computes at once


class EngineProcess:
    """An engine in a process of its own, which is an `Engine` itself.

    The process loads the version's file, its digest checked, compares its answers with
    the golden ones, and then answers in order. It ends with this process, however this
    one ends. Threads may share it.

    Args:
        version: its row in the ledger.
        settings: where its files are.
        engine: what answers there: ``keras`` or ``onnx``; empty: the one that is kept,
            which the process itself finds, else ``keras``.
        niceness: of the process, from its start on; above 0 where nobody waits for it.
        start_seconds: until it must be ready.
        answer_seconds: until `rows_at_once` items must be answered.

    Attributes:
        name: of the engine in the process.
        pid: of the process.
        difference: the largest difference of an answer from the golden ones.
        latency_ms: median of warm calls with one item in the process, milliseconds.

    Raises:
        IntegrityError: the version's file is gone, changed or gives other answers.
        DependencyError: the process crashed or did not start in time.
    """

    def __init__(
        self,
        version: Version,
        settings: Settings,
        engine: str = "keras",
        *,
        niceness: int = 0,
        start_seconds: float = START_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self.name = engine
        self._version, self._answer_seconds = version, answer_seconds
        self._process = FramedProcess(MODULE, self._title(), niceness=niceness)
        self.pid = self._process.pid
        try:
            header = {
                "version": version.model_dump(mode="json"),
                "settings": settings.for_child(),
                "engine": engine,
            }
            figures, _ = self._process.converse(header, seconds=start_seconds)
        except BaseException:
            self._process.close("did not start")
            raise
        self.name = figures["ready"]
        self._process.name = self._title()
        self.difference: float = figures["difference"]
        self.latency_ms: float = figures["latency_ms"]
        self._shape = tuple(figures["shape"])
        at_once = rows_at_once(self._shape)
        self._batching = Batching(self._exchange, min(MERGED, at_once), at_once)

    @property
    def failure(self) -> str:
        """Why it answers no more; empty while it does."""
        return self._process.failure

    def _title(self) -> str:
        return f"{self.name} process of {self._version}"

    def __call__(self, items: Payload) -> Outputs:
        """Answers as float32 ``(n, ...)``; waits for them.

        Raises:
            DependencyError: the process has crashed, hangs or is closed, or too many
                requests wait.
        """
        self._check()
        return self._batching(items) if len(items) else self._nothing

    async def answer(self, items: Payload) -> Outputs:
        """As a call, for an event loop, which is not blocked."""
        self._check()
        return await self._batching.answer(items) if len(items) else self._nothing

    def close(self) -> None:
        """End the process; requests that wait for an answer fail."""
        self._process.fail("was closed")
        self._batching.close()
        self._process.close()

    def _check(self) -> None:
        if self.failure:
            raise self._process.error(self.failure)
        if self._batching.waiting >= MOST_WAITING:
            raise self._process.error(f"has {MOST_WAITING} requests waiting")

    @property
    def _nothing(self) -> Outputs:
        return np.empty((0, *self._shape), np.float32)

    def _exchange(self, items: Payload) -> Outputs:
        """Answers to at most `rows_at_once` items."""
        if self.failure:
            raise self._process.error(self.failure)
        answer = self._process.converse(*packed(items), seconds=self._answer_seconds)
        return unpacked(*answer)
