"""What a server hands to an application, and how the application answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class Refused(Exception):
    """A request that is not let through; the status says why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def headers_of(scope: Message) -> dict[str, str]:
    """The headers by name; those that decide may be there once only."""
    found: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name == "cookie" and name in found:
            value = f"{found[name]}; {value}"
        elif name in found and name in {"host", "origin", "authorization"}:
            raise Refused(400, f"The header {name} is there twice.")
        found[name] = value
    return found


def with_headers(send: Send, extra: list[tuple[bytes, bytes]]) -> Send:
    """Add headers to the answer; no answer is meant for every origin."""

    async def send_on(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [
                (name, value)
                for name, value in message.get("headers", [])
                if (name.lower(), value) != (b"access-control-allow-origin", b"*")
            ]
            names = {name.lower() for name, _ in kept}
            wanted = [(b"x-frame-options", b"SAMEORIGIN"), *extra]
            kept += [(n, v) for n, v in wanted if n == b"set-cookie" or n not in names]
            message = {**message, "headers": kept}
        await send(message)

    return send_on


async def answer(
    send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    """Answer a request at once, with a body and its length."""
    length = (b"content-length", str(len(body)).encode())
    start = {"type": "http.response.start", "status": status}
    await send({**start, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})
