"""Bodies of requests: bounded in size and in memory of all together, and their JSON."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import json
import math
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson

from headrace.serving.replies import CLOSE, HttpError

_SHOWN = 60  # characters of a value in a message
MOST_LISTS = 2**18  # and objects in JSON, which take a microsecond and 64 bytes each

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


def json_object(body: bytes, most_values: float = math.inf) -> dict[str, Any]:
    """The JSON object in a body; see `parse_json`."""
    value = parse_json(body, most_values)
    if not isinstance(value, dict):
        raise HttpError(400, f"The body is {shortened(value)}; wanted is an object.")
    return value


def shortened(value: Any) -> str:
    """How a value of a user begins, as JSON, in a message."""
    if isinstance(value, str):
        value = value[:_SHOWN]
    text, parts = "", json.JSONEncoder(ensure_ascii=False).iterencode(value)
    while len(text) <= _SHOWN and (part := next(parts, "")):
        text += part[: _SHOWN + 1]
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def parse_json(body: bytes, most_values: float = math.inf) -> Any:
    """The value in a body of UTF-8.

    Args:
        body: of a request.
        most_values: commas, which are counted before any value is built.

    Raises:
        HttpError: 413 for more of them or for too many lists, 400 for what is not JSON,
            such as NaN.
    """
    is_long = len(body) > min(MOST_LISTS, most_values)
    if is_long and (
        body.count(b"[") + body.count(b"{") > MOST_LISTS
        or body.count(b",") > most_values
    ):
        raise HttpError(
            413,
            f"The JSON has more than {MOST_LISTS:,} lists and objects, or more values "
            "than the items of one request. Send fewer items, their numbers in one "
            "list or as binary data.",
        )
    try:
        return orjson.loads(body.removeprefix(codecs.BOM_UTF8))
    except orjson.JSONDecodeError as error:
        shown = error.doc[error.pos : error.pos + 20]
        place = f", at {shortened(shown)}" if shown else ""
        raise HttpError(400, f"The body is not JSON: {error}{place}.") from None
