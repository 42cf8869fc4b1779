"""Bodies of requests: bounded in size, in time, and in memory of all together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from headrace.serving.replies import CLOSE, HttpError

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

SECONDS = 10.0  # in which a body must arrive
TOTAL_BYTES = 256 * 2**20
_DISCARD_SECONDS, _DISCARD_BYTES = 2.0, 64 * 2**20


class ClientGone(Exception):
    """The client has closed the connection."""


class Bodies:
    """Reads bodies.

    Args:
        limit: bytes of one body.
        seconds: in which it must arrive.
        total: bytes of all bodies in memory.
    """

    def __init__(
        self, limit: int, seconds: float = SECONDS, total: int = TOTAL_BYTES
    ) -> None:
        self.limit = limit
        self.seconds = seconds
        self.total = total
        self.held = 0
        self._slow: set[asyncio.Task[Any]] = set()
        self._reading: dict[asyncio.Task[Any], float] = {}

    async def read(self, receive: Receive, length: bytes | None) -> bytes:
        """The body of a request, which counts as held until it is given back.

        Args:
            receive: ASGI's.
            length: the header ``Content-Length``.

        Raises:
            HttpError: 413 for a body over the limit, 408 for a slow one, 503 if there
                are too many bytes in memory.
            ClientGone: the client does not wait for an answer.
        """
        if length is not None and len(length) > 4 and self._is_too_long(length):
            raise self._too_large()
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("a body is read in a task")
        self._reading[task] = loop.time()
        try:
            message = await receive()
            if message["type"] != "http.request":
                raise ClientGone
            body: bytes = message.get("body", b"")
            if not message.get("more_body") and len(body) <= self.limit:
                self.held += len(body)
                return body
            return await self._read_on(receive, body, bool(message.get("more_body")))
        except asyncio.CancelledError:
            if task not in self._slow:
                raise
            self._slow.discard(task)
            task.uncancel()
            raise HttpError(
                408,
                f"The body did not arrive within {self.seconds:g} s.",
                [CLOSE],
            ) from None
        finally:
            del self._reading[task]

    async def _read_on(self, receive: Receive, first: bytes, more: bool) -> bytes:
        parts, size = [first], len(first)
        held = 0
        try:
            while True:
                if size > self.limit:
                    raise self._too_large()
                if self.held + size - held > self.total:
                    raise HttpError(
                        503,
                        "The bodies of all requests take too much memory. Try again in "
                        "a second.",
                        [(b"retry-after", b"1"), CLOSE],
                    )
                self.held += size - held
                held = size
                if not more:
                    return b"".join(parts)
                message = await receive()
                if message["type"] != "http.request":
                    raise ClientGone
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                more = bool(message.get("more_body"))
        except BaseException:
            self.held -= held
            raise

    def give_back(self, body: bytes) -> None:
        """Hold a body no more: its request is answered."""
        self.held -= len(body)

    def _is_too_long(self, length: bytes) -> bool:
        return length.isdigit() and (len(length) > 18 or int(length) > self.limit)

    def _too_large(self) -> HttpError:
        return HttpError(
            413,
            f"The body has more than {self.limit:,} bytes, which is the limit "
            "(HEADRACE_MAX_BODY_BYTES).",
            [CLOSE],
        )

    def end_slow(self, now: float) -> None:
        """End the reading of bodies that take too long; called every second or so."""
        for task, began in list(self._reading.items()):
            if now - began > self.seconds:
                self._slow.add(task)
                task.cancel()


async def discard(receive: Receive) -> None:
    """Take a part of what a client still sends, so that it reads the refusal.

    Closing the connection at once would reset it, and the client may lose the reply.
    """
    size = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DISCARD_SECONDS):
            while size < _DISCARD_BYTES:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body"):
                    return
                size += len(message["body"])
