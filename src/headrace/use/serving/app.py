"""The ASGI application: routes, refusals, and the way of one request.

A request does as little as it can: a route is an entry in a dictionary, and what can be
prepared for a version is prepared when it is loaded.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.errors import did_you_mean
from headrace.use.serving import plain, protocol
from headrace.use.serving.bodies import Bodies, ClientGone, discard
from headrace.use.serving.replies import (
    CLOSE,
    JSON,
    NO_SNIFF,
    HttpError,
    Reply,
    json_reply,
)
from headrace.use.serving.served import Answered, Observer, Served, Slot

if TYPE_CHECKING:
    from headrace.media.forms import Payload
    from headrace.settings import Settings
    from headrace.tasks.forms import Outputs
    from headrace.use.serving.bodies import Receive
    from headrace.use.serving.doors import Doors

Send = Callable[[dict[str, Any]], Awaitable[None]]
_ID_CHARACTERS = frozenset(
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/"
)
_ID_LIMIT = 128
log = logging.getLogger("headrace")


class Request:
    """A request, as handlers get it.

    Attributes:
        started: when its headers were complete, by `time.perf_counter`.
        id: the client's, or a new one.
    """

    __slots__ = ("headers", "id", "query", "receive", "started")

    def __init__(
        self,
        headers: dict[bytes, bytes],
        id_: str,
        query: bytes,
        receive: Receive,
        started: float,
    ) -> None:
        self.headers = headers
        self.id = id_
        self.query = query
        self.receive = receive
        self.started = started


Handler = Callable[[Request], Awaitable[Reply]]


class Route(NamedTuple):
    """What a path answers, by method.

    Attributes:
        is_open: whether it needs no token.
    """

    handlers: dict[str, Handler]
    is_open: bool = False


class App:
    """The server's application.

    Args:
        slots: the models.
        doors: who may use it.
        settings: for limits.

    Attributes:
        observers: called after each answer; see `served.Observer`.
        started: called in the event loop before the first request.
        stopping: called after the last one.
    """

    def __init__(self, slots: Sequence[Slot], doors: Doors, settings: Settings) -> None:
        self.slots = {slot.model: slot for slot in slots}
        self.observers: list[Observer] = []
        self.started: list[Callable[[], object]] = []
        self.stopping: list[Callable[[], object]] = []
        self.bodies = Bodies(settings.max_body_bytes)
        self._doors = doors
        self._settings = settings
        self._readers: dict[Served, plain.Reader] = {}
        self._tensors: dict[Served, protocol.Tensors] = {}
        self._prefix, self._count = secrets.token_hex(8), 0
        self.routes: dict[str, Route] = {}
        self._add_routes()

    def add(self, path: str, is_open: bool = False, **handlers: Handler) -> None:
        """Add a path with its handlers by method."""
        if "GET" in handlers:
            handlers["HEAD"] = handlers["GET"]
        self.routes[path] = Route(handlers, is_open)

    def _add_routes(self) -> None:
        self.add("/v2", GET=_constant(_SERVER))
        self.add("/v2/health/live", is_open=True, GET=_constant({"live": True}))
        self.add("/v2/health/ready", is_open=True, GET=self._ready)
        self.add("/models", GET=self._models)
        for slot in self.slots.values():
            self._add_model(slot)

    def _add_model(self, slot: Slot) -> None:
        async def predict(request: Request) -> Reply:
            return await self._predict(request, slot, None)

        async def infer(request: Request) -> Reply:
            return await self._infer(request, slot, None)

        async def metadata(request: Request) -> Reply:
            served = _version_of(slot, None)
            return json_reply(self.tensors_of(served).metadata(slot))

        async def ready(request: Request) -> Reply:
            return json_reply({"name": slot.model, "ready": True})

        self.add(f"/models/{slot.model}/predict", POST=predict)
        self.add(f"/v2/models/{slot.model}", GET=metadata)
        self.add(f"/v2/models/{slot.model}/infer", POST=infer)
        self.add(f"/v2/models/{slot.model}/ready", GET=ready)

    def reader_of(self, served: Served) -> plain.Reader:
        """The reader of a version's items."""
        reader = self._readers.get(served)
        if reader is None:
            reader = self._readers[served] = plain.Reader(served, self._settings)
        return reader

    def tensors_of(self, served: Served) -> protocol.Tensors:
        """The tensors of a version."""
        tensors = self._tensors.get(served)
        if tensors is None:
            tensors = self._tensors[served] = protocol.Tensors(served)
        return tensors

    def replace(self, slot: Slot, served: Served) -> None:
        """Let another version answer; called in the event loop.

        The former one is closed once its last answer is given.
        """
        former, slot.current = slot.current, served
        if former is not None:
            self._readers.pop(former, None)
            self._tensors.pop(former, None)
            former.retire()

    async def __call__(
        self, scope: dict[str, Any], receive: Receive, send: Send
    ) -> None:
        """Answer a request; ASGI."""
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        started = time.perf_counter()
        request_id, gone = "", False
        try:
            headers = self._doors.headers_of(scope["headers"])
            request_id = self._id_of(headers)
            route = self.routes.get(scope["path"]) or self._find(scope["path"])
            self._doors.check(headers, needs_token=not route.is_open)
            handler = route.handlers.get(scope["method"])
            if handler is None:
                raise _wrong_method(scope["method"], route)
            query = scope["query_string"]
            request = Request(headers, request_id, query, receive, started)
            reply = await handler(request)
        except HttpError as refusal:
            reply = refusal.reply
        except ClientGone:
            return
        except Exception:
            log.exception("serve: a fault while answering %s", scope["path"])
            reply = HttpError(500, "A fault of the server; its log has more.").reply
        head = [
            *reply.headers,
            (b"content-length", b"%d" % len(reply.body)),
            (b"x-request-id", request_id.encode()),
        ]
        status = reply.status
        await send({"type": "http.response.start", "status": status, "headers": head})
        if CLOSE in head and status >= 400:
            await send(
                {"type": "http.response.body", "body": reply.body, "more_body": True}
            )
            await discard(receive)
            await send({"type": "http.response.body", "body": b""})
            return
        await send({"type": "http.response.body", "body": reply.body})

    async def _other(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        await receive()
        for call in self.started:
            call()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for call in self.stopping:
            call()
        await send({"type": "lifespan.shutdown.complete"})

    def _id_of(self, headers: dict[bytes, bytes]) -> str:
        """The client's id of a request, if it is sane; else a new one."""
        own = headers.get(b"x-request-id")
        if own and len(own) <= _ID_LIMIT and _ID_CHARACTERS.issuperset(own):
            return own.decode()
        self._count += 1
        return f"{self._prefix}{self._count:08x}"

    def _find(self, path: str) -> Route:
        """The route of a path with a version; HttpError 404 if there is none."""
        parts = path.split("/")
        if parts[1:3] == ["v2", "models"] and parts[4:5] == ["versions"]:
            return self._versioned(parts[3], parts[5:])
        if parts[1:2] == ["models"] and parts[3:4] == ["versions"]:
            return self._versioned(parts[2], parts[4:], plain_route=True)
        hint = did_you_mean(path, self.routes, f"See {', '.join(self.routes)}.")
        raise HttpError(404, f"There is nothing at {path[:200]!r}. {hint}")

    def _versioned(
        self, model: str, rest: list[str], *, plain_route: bool = False
    ) -> Route:
        slot = self.slots.get(model)
        if slot is None:
            known = f"Models here: {', '.join(self.slots)}."
            hint = did_you_mean(model, self.slots, known)
            raise HttpError(404, f"There is no model {model[:100]!r}. {hint}")
        number = rest[0] if rest else ""
        served = slot.versions.get(int(number)) if _is_version(number) else None
        if served is None:
            known = ", ".join(map(str, sorted(slot.versions)))
            raise HttpError(
                404, f"Version {number[:20]!r} of {model} is not loaded; {known} is."
            )
        match plain_route, rest[1:]:
            case True, ["predict"]:
                return Route({"POST": lambda r: self._predict(r, slot, served)})
            case False, ["infer"]:
                return Route({"POST": lambda r: self._infer(r, slot, served)})
            case False, []:
                value = self.tensors_of(served).metadata(slot)
                return Route({"GET": _constant(value), "HEAD": _constant(value)})
            case False, ["ready"]:
                value = {"name": model, "ready": True}
                return Route({"GET": _constant(value), "HEAD": _constant(value)})
        raise HttpError(404, f"There is nothing at {'/'.join(rest)[:100]!r}.")

    async def _predict(
        self, request: Request, slot: Slot, wanted: Served | None
    ) -> Reply:
        """Answer the plain route."""
        headers = request.headers
        body = await self.bodies.read(request.receive, headers.get(b"content-length"))
        served = wanted or _version_of(slot, request.id)
        media_type = headers.get(b"content-type", b"")
        payload, items = self.reader_of(served).read(media_type, body)
        outputs = served.answer_now(items)
        if outputs is None:
            outputs = await served.answer(items)
        shown = None
        if request.query:
            shown = _shown(request.query, payload, served)
        answer = plain.answer_body(served, request.id, outputs[0], shown)
        self._observe(request, served, items, outputs)
        return Reply(200, [JSON, NO_SNIFF, served.version_header], answer)

    async def _infer(
        self, request: Request, slot: Slot, wanted: Served | None
    ) -> Reply:
        """Answer a request for inference."""
        headers = request.headers
        body = await self.bodies.read(request.receive, headers.get(b"content-length"))
        served = wanted or _version_of(slot, request.id)
        tensors = self.tensors_of(served)
        length = headers.get(protocol.HEADER_LENGTH)
        parsed = protocol.parse(served, tensors, body, length)
        outputs = served.answer_now(parsed.items)
        if outputs is None:
            outputs = await served.answer(parsed.items)
        reply = protocol.reply_of(served, tensors, parsed, outputs, request.id)
        reply.headers.append(served.version_header)
        self._observe(request, served, parsed.items, outputs)
        return reply

    def _observe(
        self, request: Request, served: Served, items: Payload, outputs: Outputs
    ) -> None:
        if self.observers:
            answered = Answered(
                request.id,
                served.model,
                served.version,
                served.role,
                items,
                outputs,
                time.perf_counter() - request.started,
                served.engine.name,
            )
            for observe in self.observers:
                observe(answered)

    async def _ready(self, request: Request) -> Reply:
        failures = {s.model: s.failure for s in self.slots.values() if s.failure}
        is_ready = all(slot.current for slot in self.slots.values())
        value: dict[str, Any] = {"ready": is_ready}
        if failures:
            value["failures"] = failures
        headers = [] if is_ready else [(b"retry-after", b"1")]
        return json_reply(value, 200 if is_ready else 503, headers)

    async def _models(self, request: Request) -> Reply:
        served = [slot.current for slot in self.slots.values() if slot.current]
        return json_reply({"models": [_listed(one) for one in served]})


_SERVER = {"name": "headrace", "version": "0", "extensions": protocol.EXTENSIONS}


def _constant(value: Any) -> Handler:
    async def answer(request: Request) -> Reply:
        return json_reply(value)

    return answer


def _is_version(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _version_of(slot: Slot, request_id: str | None) -> Served:
    """What answers a request; HttpError 503 before there is anything."""
    if slot.choose is not None and request_id is not None:
        return slot.choose(request_id)
    if slot.current is None:
        raise HttpError(
            503, f"{slot.model} is not loaded yet.", [(b"retry-after", b"1")]
        )
    return slot.current


def _wrong_method(method: str, route: Route) -> HttpError:
    allowed = ", ".join(sorted(route.handlers))
    return HttpError(
        405,
        f"The method is {method[:20]}; {allowed} is allowed.",
        [(b"allow", allowed.encode())],
    )


def _shown(query: bytes, payload: Payload, served: Served) -> str | None:
    if query != b"show=input":
        raise HttpError(
            400, f"The query is {query[:60].decode('latin-1')!r}; show=input is known."
        )
    return served.medium.as_html(payload[0], served.description)


def _listed(served: Served) -> dict[str, Any]:
    """A version, as ``/models`` lists it."""
    data = served.description
    value = {
        "name": served.model,
        "version": served.version,
        "medium": data.medium,
        "task": data.task,
        "shape": list(data.shape),
        **data.target,
        "engine": served.engine.name,
        "summary": served.task.answers.about(data),
    }
    if data.sample_rate_hz:
        value["sample_rate_hz"] = data.sample_rate_hz
    return value
