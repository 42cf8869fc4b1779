"""Connections: uvicorn's protocol, with limits that it has not.

uvicorn waits for ever for the first request of a connection and for the rest of its
headers or its body, and takes headers of any size.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADER_SECONDS = BODY_SECONDS = 10.0
HEADER_BYTES = 64 * 2**10
CONNECTIONS_LIMIT = 4096
_ABSOLUTE = re.compile(rb"[^/?#]*://([^/?#]*)")


def _refusal(status: str, message: str, *headers: str) -> bytes:
    body = json.dumps({"error": message})
    lines = [f"HTTP/1.1 {status}", "content-type: application/json", *headers]
    lines += [f"content-length: {len(body)}", "connection: close", "", body]
    return "\r\n".join(lines).encode()


_MALFORMED = _refusal("400 Bad Request", "The request is not valid HTTP.")
_SLOW = _refusal(
    "408 Request Timeout",
    f"The headers did not arrive within {HEADER_SECONDS:g} s.",
)
_SLOW_BODY = _refusal(
    "408 Request Timeout", f"The body did not arrive within {BODY_SECONDS:g} s."
)
_LONG = _refusal(
    "431 Request Header Fields Too Large",
    f"The headers have more than {HEADER_BYTES:,} bytes.",
)
_FULL = _refusal(
    "503 Service Unavailable",
    "There are too many connections. Try again in a second.",
    "retry-after: 1",
)


class HttpConnection(HttpToolsProtocol):
    """A connection of a client."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.waiting_since: float | None = self.loop.time()  # for headers
        self._header_bytes = 0
        self._has_begun = False  # a request, in these data
        self._body_since: float | None = None  # that it is awaited

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS_LIMIT:
            self._end(_FULL)

    def data_received(self, data: bytes) -> None:
        """Parse what was sent, unless it is an endless header."""
        follows_body, self._has_begun = self._body_since is not None, False
        super().data_received(data)
        if self.waiting_since is not None:
            # How much of the data is the body that came before is not known.
            is_mixed = follows_body and self._has_begun
            self._header_bytes += 1 if is_mixed else len(data)
            if self._header_bytes > HEADER_BYTES:
                self._end(_LONG)

    def on_message_begin(self) -> None:
        """A request begins."""
        self.waiting_since = self.loop.time()
        self._header_bytes, self._has_begun = 0, True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """All headers have arrived, perhaps more than are taken."""
        self.waiting_since, self._body_since = None, self.loop.time()
        size = len(self.url) + sum(len(name) + len(text) for name, text in self.headers)
        if size > HEADER_BYTES:
            self._end(_LONG)
            raise ValueError("the headers are too long")  # the parser stops
        if target := _ABSOLUTE.match(self.url):  # RFC 9112, 3.2.2: its host counts
            self.headers[:] = [
                (name, target[1] if name == b"host" else text)
                for name, text in self.headers
            ]
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """A request has arrived as a whole."""
        self._body_since = None
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP."""
        self._end(_MALFORMED)

    def _unsupported_upgrade_warning(self) -> None:
        """Log nothing: anybody can ask for it."""

    def end_slow(self, now: float) -> None:
        """End a connection whose headers or body take too long."""
        if self._body_since is not None and not self.pipeline:
            if now - self._body_since > BODY_SECONDS:
                self._end(b"" if self.cycle.response_started else _SLOW_BODY)
            return
        if self.waiting_since is None or now - self.waiting_since <= HEADER_SECONDS:
            return
        if not self._header_bytes:
            self.transport.close()  # an answer would be taken for the next one
        elif self.cycle is None or self.cycle.response_complete:
            self._end(_SLOW)

    def _end(self, refusal: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(refusal)
            self.transport.close()
