"""Bodies of requests: bounded in size, and in memory of all together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from headrace.serving.replies import CLOSE, HttpError

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

TOTAL_BYTES = 256 * 2**20
_DISCARD_SECONDS, _DISCARD_BYTES = 2.0, 64 * 2**20


class ClientGone(Exception):
    """The client has closed the connection."""


class Bodies:
    """Reads bodies.

    Args:
        limit: bytes of one body.
        total: bytes of all bodies in memory.

    Attributes:
        held: bytes of bodies that are in memory.
    """

    def __init__(self, limit: int, total: int = TOTAL_BYTES) -> None:
        self.limit, self.total = limit, total
        self.held = 0

    async def read(self, receive: Receive, length: bytes | None) -> bytes:
        """The body of a request, which counts as held until it is given back.

        Args:
            receive: ASGI's.
            length: the header ``Content-Length``.

        Raises:
            HttpError: 413 for a body over the limit, 503 if there are too many bytes in
                memory.
            ClientGone: the client does not wait for an answer.
        """
        if length is not None and len(length) > 4 and self._is_too_long(length):
            raise self._too_large()
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGone
        body: bytes = message.get("body", b"")
        if not message.get("more_body") and len(body) <= self.limit:
            self.held += len(body)
            return body
        return await self._read_on(receive, body, bool(message.get("more_body")))

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
