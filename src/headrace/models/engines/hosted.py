"""An engine in a process of its own: TensorFlow stays there, and so does a crash."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import math
import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import numpy as np

from headrace import errors
from headrace.errors import DependencyError, HeadraceError
from headrace.media.forms import Payload
from headrace.models.engines import formats
from headrace.models.engines.forms import MERGED, in_blocks
from headrace.models.engines.frames import packed, unpacked
from headrace.models.logged.loading import rows_at_once
from headrace.settings import Settings
from headrace.state import children
from headrace.state.frames import BrokenFrameError, Header, receive, send
from headrace.state.ledger.rows import Version
from headrace.tasks.forms import Outputs

START_SECONDS = 300.0
ANSWER_SECONDS = 60.0
MOST_WAITING = 1024  # requests; more are refused
_ENDING_SECONDS = 5.0  # in which a process that has closed its socket ends
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
        self._connection, theirs = socket.socketpair()
        self._messages = tempfile.TemporaryFile("a+b")
        with theirs:
            self._process = children.start(
                "headrace.models.engines.answering",
                niceness=niceness,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=self._messages.fileno(),
                start_new_session=True,  # an interrupt is for this process alone
            )
        self.pid = self._process.pid
        self._failure = ""
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
            self.difference = float(figures["difference"])
            self.latency_ms = float(figures["latency_ms"])
            self._shape = tuple(map(int, figures["shape"]))
        except BaseException:
            self._fail("did not start")
            self._messages.close()
            raise
        self._thread = threading.Thread(
            target=self._work, name=f"engine of {version}", daemon=True
        )
        self._thread.start()

    @property
    def failure(self) -> str:
        """Why it answers no more; empty while it does."""
        return self._failure

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
        self._fail("was closed")
        self._thread.join()
        self._messages.close()

    def _ask(self, items: Payload) -> Future[Outputs]:
        future: Future[Outputs] = Future()
        with self._changed:
            if self._failure:
                raise self._error(self._failure)
            if len(self._asked) >= MOST_WAITING:
                raise self._error(f"has {MOST_WAITING} requests waiting")
            self._asked.append((items, future))
            self._changed.notify()
        return future

    def _work(self) -> None:
        """Have all requests answered, in order, until it fails."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._asked or self._failure)
                if self._failure:
                    break
                batch = _take(self._asked)
            batch = [ask for ask in batch if ask[1].set_running_or_notify_cancel()]
            if batch:
                self._answer(batch)
        for _, future in self._asked:
            if future.set_running_or_notify_cancel():
                future.set_exception(self._error(self._failure))
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
        with self._reasons(self._answer_seconds):
            if (header.get("dtype"), header.get("shape")) != (_FLOATS, shape):
                raise BrokenFrameError(f"{str(header)[:80]} is no answer")
            return unpacked(header, body)

    def _start(self, header: Header, seconds: float) -> Header:
        figures, _ = self._converse(header, b"", seconds, [0])
        with self._reasons(seconds):
            names = {self.name} if self.name else {"keras", *formats.ENGINES}
            is_start = set(figures) == {"ready", "shape", "difference", "latency_ms"}
            if not is_start or figures["ready"] not in names:
                raise BrokenFrameError(f"{str(figures)[:80]} is no start")
        return figures

    def _converse(
        self, header: Header, body: Any, seconds: float, shape: list[int]
    ) -> tuple[Header, bytearray]:
        """Send a frame and receive one with at most an array of a shape."""
        with self._reasons(seconds):
            self._connection.settimeout(seconds)
            send(self._connection, header, body)
            most = math.prod(shape) * _FLOAT_BYTES
            header, body = receive(self._connection, most, seconds)
            if "error" in header:
                kind = str(header["error"])
                message, action = str(header["message"]), str(header["action"])
            else:
                return header, body
        error = getattr(errors, kind, None) if kind else None
        if isinstance(error, type) and issubclass(error, HeadraceError):
            raise error(message, action)
        raise self._error(f"failed: {message}")

    @contextlib.contextmanager
    def _reasons(self, seconds: float) -> Iterator[None]:
        """Give up in a block in which the process fails, and say why."""
        try:
            yield
        except TimeoutError:
            self._fail(f"did not answer within {seconds:g} s")
        except (EOFError, OSError):
            self._fail(self._ending())
        except (BrokenFrameError, KeyError) as error:
            self._fail(f"sent something else than an answer: {error}")
        else:
            return
        raise self._error(self._failure)

    def _ending(self) -> str:
        """How the process ended, and the last line that it wrote."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDING_SECONDS)
        with contextlib.suppress(OSError, ValueError):
            end = self._messages.seek(0, os.SEEK_END)
            self._messages.seek(max(0, end - 4096))
            text = self._messages.read().decode(errors="replace").strip()
            last = (text.splitlines() or ["no message"])[-1][:300]
            return f"ended with {self._process.returncode}: {last}"
        return f"ended with {self._process.returncode}"

    def _fail(self, reason: str) -> None:
        """Answer no more, and end the process."""
        with self._changed:
            self._failure = self._failure or reason
            self._changed.notify_all()
        self._process.kill()
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)  # wakes who waits for it
        self._process.wait()

    def _error(self, reason: str) -> DependencyError:
        return DependencyError(
            f"The {self.name} process of {self._version} {reason}.",
            "Run the same command again; with more memory, if it was killed.",
        )


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
