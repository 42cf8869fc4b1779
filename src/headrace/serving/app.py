"""The ASGI application: finds a request's route, and sends its reply or its refusal.

A request does as little as it can: a route is an entry in a dictionary, and what can be
prepared for a version is prepared when it is loaded.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

from headrace.errors import InputError, did_you_mean
from headrace.serving.bodies import Bodies, ClientGone, Receive, discard
from headrace.serving.doors import Doors
from headrace.serving.metrics import CONTENT_TYPE, Metrics
from headrace.serving.replies import CLOSE, NO_STORE, HttpError, Reply

Scope = Any
Send = Callable[[Any], Awaitable[None]]
_ID_CHARACTERS = frozenset(
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/"
)
_ID_LIMIT = 128
log = logging.getLogger("headrace")


class Request:
    """A request, as handlers get it.

    Attributes:
        id: the client's, or a new one.
        has_own_id: whether it is that of the client's header.
        body: empty where the handler takes none.
        began: when its body was complete, by `time.perf_counter`.
        model, version: of what answers it, for metrics; set by the handler.
    """

    __slots__ = (
        "began",
        "body",
        "has_own_id",
        "headers",
        "id",
        "model",
        "query",
        "version",
    )

    def __init__(self, headers: dict[bytes, bytes], id_: str, query: bytes) -> None:
        self.headers = headers
        self.id, self.has_own_id = id_, False
        self.query = query
        self.body = b""
        self.began = 0.0
        self.model, self.version = "", 0


Handler = Callable[[Request], Awaitable[Reply]]
# Finds the route of a path that is in no dictionary; HttpError 404 if there is none.
Find = Callable[[list[str]], "Route | None"]


class Route(NamedTuple):
    """What a path answers, by method.

    Attributes:
        is_open: whether it needs no token.
    """

    handlers: dict[str, Handler]
    is_open: bool = False


def route(*, is_open: bool = False, **handlers: Handler) -> Route:
    """A route; GET answers HEAD, too."""
    if "GET" in handlers:
        handlers["HEAD"] = handlers["GET"]
    return Route(handlers, is_open)


class App:
    """The application.

    Args:
        doors: who may use it.
        bodies: reads the bodies of requests.
        metrics: counts them.

    Attributes:
        routes: by path.
        find: see `Find`; gets the parts of the path.
        starting: called in the event loop before the first request.
        stopping: called after the last one.
    """

    def __init__(self, doors: Doors, bodies: Bodies, metrics: Metrics) -> None:
        self.doors, self.bodies, self.metrics = doors, bodies, metrics
        self.routes: dict[str, Route] = {"/metrics": route(GET=self._metrics)}
        self.find: Find | None = None
        self.starting: list[Callable[[], object]] = []
        self.stopping: list[Callable[[], object]] = []
        self._prefix, self._count = secrets.token_hex(8), 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; ASGI."""
        if scope["type"] != "http":
            await self._begin_and_end(scope, receive, send)
            return
        request = Request({}, "", scope["query_string"])
        try:
            reply = await self._reply(scope, receive, request)
        except HttpError as refusal:
            reply = refusal.reply
        except InputError as error:
            reply = HttpError(422, str(error)).reply
        except ClientGone:
            return
        except Exception:  # the last resort: a fault of ours
            log.exception("serve: a fault while answering %s", scope["path"])
            self.metrics.faults += 1
            reply = HttpError(500, "A fault of the server; its log has more.").reply
        status, headers, body, rest = reply
        self.metrics.count(request.model, request.version, status)
        head = [
            *headers,
            (b"x-request-id", (request.id or self._new_id()).encode()),
        ]
        if rest is not None:
            start = {"type": "http.response.start", "status": status, "headers": head}
            await send(start)
            await send_rest(body, rest, receive, send)
            return
        head.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": head})
        if CLOSE in headers:
            message = {"type": "http.response.body", "body": body, "more_body": True}
            await send(message)
            await discard(receive)
            body = b""
        await send({"type": "http.response.body", "body": body})

    async def _reply(self, scope: Scope, receive: Receive, request: Request) -> Reply:
        request.headers = headers = self.doors.headers_of(scope["headers"])
        own = sane_id(headers.get(b"x-request-id", b""))
        request.id, request.has_own_id = own or self._new_id(), bool(own)
        path, method = scope["path"], scope["method"]
        listed = self.routes.get(path)
        # What there is not is said to those who may know what there is.
        self.doors.check(
            method, headers, needs_token=listed is None or not listed.is_open
        )
        route = listed or self._find(path)
        handler = route.handlers.get(method)
        if handler is None:
            allowed = ", ".join(sorted(route.handlers))
            message = f"The method is {method[:20]}; allowed: {allowed}."
            raise HttpError(405, message, [(b"allow", allowed.encode())])
        if method == "POST":
            coding = headers.get(b"content-encoding", b"")
            if coding.lower() not in (b"", b"identity"):
                shown = coding[:100].decode("latin-1")
                message = f"The Content-Encoding is {shown!r}; send the body without."
                raise HttpError(415, message)
            length = headers.get(b"content-length")
            request.body = await self.bodies.read(receive, length)
        request.began = time.perf_counter()
        try:
            return await handler(request)
        finally:
            self.bodies.give_back(request.body)

    async def _begin_and_end(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        for call in self.starting:
            call()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for call in self.stopping:
            call()
        await send({"type": "lifespan.shutdown.complete"})

    def _new_id(self) -> str:
        self._count += 1
        return f"{self._prefix}{self._count:08x}"

    def _find(self, path: str) -> Route:
        route = self.find(path.split("/")) if self.find is not None else None
        if route is None:
            hint = did_you_mean(path[:200], self.routes, "See /openapi.json.")
            raise HttpError(404, f"There is nothing at {path[:200]!r}. {hint}")
        return route

    async def _metrics(self, request: Request) -> Reply:
        return Reply(200, [CONTENT_TYPE, NO_STORE], self.metrics.text().encode())


def sane_id(own: bytes) -> str:
    """A client's id of a request, if it is one to log; else empty."""
    is_sane = len(own) <= _ID_LIMIT and _ID_CHARACTERS.issuperset(own)
    return own.decode() if is_sane else ""


async def send_rest(
    body: bytes, rest: AsyncIterator[bytes], receive: Receive, send: Send
) -> None:
    """Send the parts of a body as they come, until the client goes away."""
    gone = asyncio.create_task(_until_gone(receive))
    try:
        await send({"type": "http.response.body", "body": body, "more_body": True})
        async with contextlib.aclosing(rest):  # type: ignore[type-var]
            async for part in rest:
                if gone.done():
                    return
                await send(
                    {"type": "http.response.body", "body": part, "more_body": True}
                )
        await send({"type": "http.response.body", "body": b""})
    finally:
        gone.cancel()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
