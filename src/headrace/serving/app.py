"""The ASGI application: finds what answers a request, and sends its reply or refusal.

A request does as little as it can: what can be prepared for a version is prepared when
it is loaded.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from headrace.errors import InputError, did_you_mean
from headrace.serving.bodies import Bodies, ClientGone, Receive, discard
from headrace.serving.doors import Doors
from headrace.serving.metrics import Metrics
from headrace.serving.replies import CLOSE, HttpError, Reply

Scope = Any
Send = Callable[[Any], Awaitable[None]]
_ID_CHARACTERS = frozenset(
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/"
)
_ID_LIMIT = 128
_PATHS_KEPT = 256  # for which what answers was found
log = logging.getLogger("headrace")


class Request:
    """A request, as handlers get it.

    Attributes:
        path: as it was asked for.
        parts: of the path, by their names in the pattern.
        headers: by name.
        query: as it was sent.
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
        "parts",
        "path",
        "query",
        "version",
    )

    def __init__(self, scope: Scope, parts: dict[str, str]) -> None:
        self.path: str = scope["path"]
        self.parts = parts
        self.query: bytes = scope["query_string"]
        self.headers: dict[bytes, bytes] = {}
        self.id, self.has_own_id = "", False
        self.body, self.began = b"", 0.0
        self.model, self.version = "", 0


Handler = Callable[[Request], Awaitable[Reply]]


class App:
    """The application.

    Args:
        doors: who may use it.
        bodies: reads the bodies of requests.
        metrics: counts them.

    Attributes:
        paths: what each path answers, such as ``/models/{model}/predict``.
        starting: called in the event loop before the first request.
        stopping: called after the last one.
    """

    def __init__(self, doors: Doors, bodies: Bodies, metrics: Metrics) -> None:
        self.doors, self.bodies, self.metrics = doors, bodies, metrics
        self.paths: dict[str, Endpoint] = {}
        self.starting: list[Callable[[], object]] = []
        self.stopping: list[Callable[[], object]] = []
        self._patterns: list[tuple[re.Pattern[str], Endpoint]] = []
        self._nowhere = Endpoint(self, self._nothing, "")
        self._find = functools.lru_cache(_PATHS_KEPT)(self._found)
        self._prefix, self._count = secrets.token_hex(8), 0

    def add(
        self, path: str, handler: Handler, method: str = "GET", *, is_open: bool = False
    ) -> None:
        """Let a handler answer a path; a part ``{name}`` is any but an empty one."""
        pattern = re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", path)
        self.paths[path] = endpoint = Endpoint(self, handler, method, is_open=is_open)
        self._patterns.append((re.compile(pattern), endpoint))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; ASGI."""
        if scope["type"] == "lifespan":
            await self._begin_and_end(receive, send)
            return
        endpoint, parts = self._find(scope["path"])
        await endpoint(Request(scope, parts), scope, receive, send)

    def new_id(self) -> str:
        """An id for a request that has none."""
        self._count += 1
        return f"{self._prefix}{self._count:08x}"

    def _found(self, path: str) -> tuple[Endpoint, dict[str, str]]:
        """What answers a path, and the parts of it that its pattern names."""
        for pattern, endpoint in self._patterns:
            if match := pattern.fullmatch(path):
                return endpoint, match.groupdict()
        return self._nowhere, {}

    async def _nothing(self, request: Request) -> Reply:
        hint = did_you_mean(request.path[:200], self.paths, "See /openapi.json.")
        raise HttpError(404, f"There is nothing at {request.path[:200]!r}. {hint}")

    async def _begin_and_end(self, receive: Receive, send: Send) -> None:
        await receive()
        for call in self.starting:
            call()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for call in self.stopping:
            call()
        await send({"type": "lifespan.shutdown.complete"})


class Endpoint:
    """What a path answers.

    Args:
        app: that has it.
        handler: answers.
        method: the only one; GET answers HEAD, too. Empty: any.
        is_open: whether it needs no token.
    """

    def __init__(
        self, app: App, handler: Handler, method: str, *, is_open: bool = False
    ) -> None:
        self._app, self._handler, self._method = app, handler, method
        self.is_open = is_open

    async def __call__(
        self, request: Request, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Send the reply to a request, or its refusal."""
        app = self._app
        try:
            reply = await self._reply(request, scope, receive)
        except HttpError as refusal:
            reply = refusal.reply
        except InputError as error:
            reply = HttpError(422, str(error)).reply
        except ClientGone:
            return
        except Exception:  # the last resort: a fault of ours
            log.exception("serve: a fault while answering %s", request.path)
            app.metrics.faults += 1
            reply = HttpError(500, "A fault of the server; its log has more.").reply
        status, headers, body, rest = reply
        app.metrics.count(request.model, request.version, status)
        head = [*headers, (b"x-request-id", (request.id or app.new_id()).encode())]
        start = {"type": "http.response.start", "status": status, "headers": head}
        if rest is not None:
            await send(start)
            await send_rest(body, rest, receive, send)
            return
        head.append((b"content-length", b"%d" % len(body)))
        await send(start)
        if CLOSE in headers:
            message = {"type": "http.response.body", "body": body, "more_body": True}
            await send(message)
            await discard(receive)
            body = b""
        await send({"type": "http.response.body", "body": body})

    async def _reply(self, request: Request, scope: Scope, receive: Receive) -> Reply:
        app, method = self._app, scope["method"]
        request.headers = headers = app.doors.headers_of(scope["headers"])
        own = sane_id(headers.get(b"x-request-id", b""))
        request.id, request.has_own_id = own or app.new_id(), bool(own)
        # What there is not is said to those who may know what there is.
        app.doors.check(method, headers, needs_token=not self.is_open)
        if method != self._method:
            self._check_method(method)
        if self._method == "POST":
            coding = headers.get(b"content-encoding", b"")
            if coding.lower() not in (b"", b"identity"):
                shown = coding[:100].decode("latin-1")
                message = f"The Content-Encoding is {shown!r}; send the body without."
                raise HttpError(415, message)
            length = headers.get(b"content-length")
            request.body = await app.bodies.read(receive, length)
        request.began = time.perf_counter()
        try:
            return await self._handler(request)
        finally:
            app.bodies.give_back(request.body)

    def _check_method(self, method: str) -> None:
        allowed = "GET, HEAD" if self._method == "GET" else self._method
        if allowed and method not in allowed.split(", "):
            message = f"The method is {method[:20]}; allowed: {allowed}."
            raise HttpError(405, message, [(b"allow", allowed.encode())])


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
