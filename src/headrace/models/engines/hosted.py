"""An engine in a process of its own: TensorFlow stays there, and so does a crash."""

from __future__ import annotations

import asyncio
import collections
import math
import threading
from concurrent.futures import Future
from typing import Any

import numpy as np

from headrace.errors import HeadraceError
from headrace.media.forms import Payload
from headrace.models.engines import formats
from headrace.models.engines.forms import MERGED, in_blocks
from headrace.models.engines.frames import packed, unpacked
from headrace.models.logged.loading import rows_at_once
from headrace.settings import Settings
from headrace.state.framed import FramedProcess
from headrace.state.frames import BrokenFrameError, Header
from headrace.state.ledger.rows import Version
from headrace.tasks.forms import Outputs

MODULE = "headrace.models.engines.answering"
START_SECONDS = 300.0
ANSWER_SECONDS = 60.0
MOST_WAITING = 1024  # requests; more are refused
_FLOATS, _FLOAT_BYTES = "<f4", 4

_Asked = tuple[Payload, "Future[Outputs]"]


class EngineProcess:
    """An engine in a process of its own, which is an `Engine` itself.

    The process loads the version's file, its digest checked, compares its answers with
    the golden ones, and then answers in order. It ends with this process, however this
    one ends. Threads may share it.

    Args:
        version: its row in the ledger.
        settings: where its files are.
        engine: what answers there: ``keras``, ``onnx`` or ``openvino``; empty: the one
            that is kept, which the process itself finds, else ``keras``.
        niceness: of the process, from its start on; above 0 where nobody waits for it.
        start_seconds: until it must be ready.
        answer_seconds: until `rows_at_once` items must be answered.

    Attributes:
        name: of the engine in the process.
        pid: of the process.
        difference: the largest absolute difference of an answer from the golden ones.
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
        self._changed = threading.Condition()
        self._asked: collections.deque[_Asked] = collections.deque()
        try:
            header = {
                "version": version.model_dump(mode="json"),
                "settings": settings.for_child(),
                "engine": engine,
            }
            figures = self._start(header, start_seconds)
            self.name = str(figures["ready"])
            self._process.name = self._title()
            self.difference = float(figures["difference"])
            self.latency_ms = float(figures["latency_ms"])
            self._shape = tuple(map(int, figures["shape"]))
        except BaseException:
            self._process.fail("did not start")
            self._process.close()
            raise
        self._thread = threading.Thread(
            target=self._work, name=f"engine of {version}", daemon=True
        )
        self._thread.start()

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
        return in_blocks(lambda rows: self._ask(rows).result(), items, self._shape)

    async def answer(self, items: Payload) -> Outputs:
        """As a call, for an event loop, which is not blocked."""
        if 0 < len(items) <= rows_at_once(self._shape):
            return await asyncio.wrap_future(self._ask(items))
        return await asyncio.to_thread(self, items)

    def close(self) -> None:
        """End the process; requests that wait for an answer fail."""
        self._process.fail("was closed")
        with self._changed:
            self._changed.notify_all()
        self._thread.join()
        self._process.close()

    def _ask(self, items: Payload) -> Future[Outputs]:
        future: Future[Outputs] = Future()
        with self._changed:
            if self.failure:
                raise self._process.error(self.failure)
            if len(self._asked) >= MOST_WAITING:
                raise self._process.error(f"has {MOST_WAITING} requests waiting")
            self._asked.append((items, future))
            self._changed.notify()
        return future

    def _work(self) -> None:
        """Have all requests answered, in order, until it fails."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._asked or self.failure)
                if self.failure:
                    break
                batch = _take(self._asked)
            batch = [ask for ask in batch if ask[1].set_running_or_notify_cancel()]
            if batch:
                self._answer(batch)
        for _, future in self._asked:
            if future.set_running_or_notify_cancel():
                future.set_exception(self._process.error(self.failure))
        self._asked.clear()

    def _answer(self, batch: list[_Asked]) -> None:
        several = [items for items, _ in batch]
        try:
            items = several[0] if len(batch) == 1 else np.concatenate(several)
            answers = self._exchange(items)
        except HeadraceError as error:
            for _, future in batch:
                future.set_exception(type(error)(error.message, error.action))
            return
        start = 0
        for items, future in batch:
            future.set_result(answers[start : start + len(items)])
            start += len(items)

    def _exchange(self, items: Payload) -> Outputs:
        """Answers to at most `rows_at_once` items."""
        shape = [len(items), *self._shape]
        header, body = self._converse(*packed(items), self._answer_seconds, shape)
        with self._process.reasons(self._answer_seconds):
            if (header.get("dtype"), header.get("shape")) != (_FLOATS, shape):
                raise BrokenFrameError(f"{str(header)[:80]} is no answer")
            return unpacked(header, body)

    def _start(self, header: Header, seconds: float) -> Header:
        figures, _ = self._converse(header, b"", seconds, [0])
        with self._process.reasons(seconds):
            names = {self.name} if self.name else {"keras", *formats.ENGINES}
            is_start = set(figures) == {"ready", "shape", "difference", "latency_ms"}
            if not is_start or figures["ready"] not in names:
                raise BrokenFrameError(f"{str(figures)[:80]} is no start")
        return figures

    def _converse(
        self, header: Header, body: Any, seconds: float, shape: list[int]
    ) -> tuple[Header, bytearray]:
        """Send a frame and receive one with at most an array of a shape."""
        most = math.prod(shape) * _FLOAT_BYTES
        return self._process.converse(header, body, most_bytes=most, seconds=seconds)


def _take(asked: collections.deque[_Asked]) -> list[_Asked]:
    """The next requests that can be computed at once, in order."""
    taken = [asked.popleft()]
    first, rows = taken[0][0], len(taken[0][0])
    while asked:
        items = asked[0][0]
        rows += len(items)
        alike = items.dtype == first.dtype and items.shape[1:] == first.shape[1:]
        if rows > MERGED or not alike:
            break
        taken.append(asked.popleft())
    return taken
