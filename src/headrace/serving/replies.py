"""Replies and refusals, as they are sent: a status, headers and a body."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

if TYPE_CHECKING:
    from headrace.serving.served import Served

Headers = list[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")
EVENTS = (b"content-type", b"text/event-stream")
NO_STORE = (b"cache-control", b"no-store")
NO_SNIFF = (b"x-content-type-options", b"nosniff")
CLOSE = (b"connection", b"close")


class Reply(NamedTuple):
    """An answer to a request.

    Attributes:
        headers: all but the length of the body.
        rest: what follows the body, as it comes; None: nothing does, and the body has
            its length in a header.
    """

    status: int
    headers: Headers
    body: bytes
    rest: AsyncIterator[bytes] | None = None


class HttpError(Exception):
    """A request is refused.

    Args:
        status: the HTTP status, 400 or higher.
        message: what was seen, and what is wanted.
        headers: further ones, such as ``Allow``.
    """

    def __init__(self, status: int, message: str, headers: Headers | None = None):
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or []

    @property
    def reply(self) -> Reply:
        """The reply with the error as JSON."""
        return json_reply({"error": self.message}, self.status, self.headers)


def unavailable(message: str, seconds: int = 1) -> HttpError:
    """The refusal of what can be answered later, in some seconds."""
    return HttpError(503, message, [(b"retry-after", b"%d" % seconds)])


def not_finite(served: Served) -> HttpError:
    """The refusal of an item to which the model has no finite answer."""
    return HttpError(422, f"{served} has no finite answer to this item.")


def encoded(value: Any) -> bytes:
    """A value as JSON."""
    return orjson.dumps(value)


def json_reply(value: Any, status: int = 200, headers: Headers | None = None) -> Reply:
    """A reply with a JSON body."""
    return Reply(status, [JSON, NO_SNIFF, *(headers or [])], encoded(value))
