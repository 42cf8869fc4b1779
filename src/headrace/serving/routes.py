"""The routes of models: inference, the plain route, metadata and health."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace import __version__
from headrace.errors import did_you_mean
from headrace.serving import plain_answers, protocol
from headrace.serving.answered import Answered, Observer
from headrace.serving.app import Request, Route, route, sane_id
from headrace.serving.beside import read_beside
from headrace.serving.explanation_route import explain_answer
from headrace.serving.listing import Listed
from headrace.serving.metrics import ExposedMetric
from headrace.serving.replies import (
    JSON,
    NO_SNIFF,
    Headers,
    HttpError,
    Reply,
    json_reply,
)
from headrace.serving.text_route import write_text

if TYPE_CHECKING:
    from headrace.media.forms import Payload
    from headrace.serving.app import App, Handler
    from headrace.serving.served import Served
    from headrace.serving.slots import Slot
    from headrace.tasks.forms import Outputs

_SHOW = b"show=input"
OfModel = Callable[..., Awaitable[Reply]]  # a handler of a model's requests


class Models:
    """The models of a server, and their routes.

    Args:
        app: gets the routes.
        slots: the models.

    Attributes:
        observers: called in the event loop after each answer.
        notices: give what `ready` says beside the models, by name, if anything.
    """

    def __init__(self, app: App, slots: Sequence[Slot]) -> None:
        self._app = app
        self.slots = {slot.model: slot for slot in slots}
        self.observers: list[Observer] = []
        self.notices: list[Callable[[], dict[str, str]]] = []
        live = {"live": True}
        server = {
            "name": "headrace",
            "version": __version__,
            "extensions": protocol.EXTENSIONS,
        }
        routes = app.routes
        routes["/v2"] = routes["/v2/"] = route(GET=_constant(server))
        routes["/v2/health/live"] = route(is_open=True, GET=_constant(live))
        routes["/v2/health/ready"] = route(is_open=True, GET=self._ready)
        routes["/models"] = route(GET=self._list)
        document = json.loads(Path(__file__).with_name("openapi.json").read_text())
        document["info"]["version"] = __version__
        routes["/openapi.json"] = route(GET=_constant(document))
        for slot in slots:
            own = self._routes(slot, None)
            routes |= {path.format(slot.model): one for path, one in own.items()}
        app.find = self.find
        app.metrics.sources.append(self.metrics)

    def _routes(self, slot: Slot, version: int | None) -> dict[str, Route]:
        """The routes of a model or of one of its versions, by pattern."""

        def get(handler: OfModel) -> Route:
            return route(GET=partial(handler, slot=slot, version=version))

        def post(handler: OfModel) -> Route:
            return route(POST=partial(handler, slot=slot, version=version))

        return {
            "/models/{}/predict": post(self._predict),
            "/models/{}/generate": post(_generate),
            "/models/{}/say": post(self._say),
            "/models/{}/explain": post(_explain),
            "/v2/models/{}": get(_metadata),
            "/v2/models/{}/ready": get(_model_ready),
            "/v2/models/{}/infer": post(self._infer),
        }

    def find(self, parts: list[str]) -> Route | None:
        """The route of a path that names a version; HttpError 404 says what there is.

        Args:
            parts: of the path, split at its slashes.
        """
        start = 2 if parts[1:3] == ["v2", "models"] else 1
        if parts[start : start + 1] != ["models"] or len(parts) < start + 2:
            return None
        model = parts[start + 1]
        slot = self.slots.get(model)
        if slot is None:
            listed = f"Models here: {', '.join(self.slots)}."
            hint = did_you_mean(model[:100], self.slots, listed)
            raise HttpError(404, f"There is no model {model[:100]!r}. {hint}")
        if parts[start + 2 : start + 3] != ["versions"] or len(parts) < start + 4:
            return None
        number = parts[start + 3]
        version = next((v for v in slot.versions if str(v) == number), None)
        if version is None:
            loaded = ", ".join(map(str, sorted(slot.versions)))
            message = f"Version {number[:20]!r} of {model} is not loaded; loaded: "
            raise HttpError(404, f"{message}{loaded or 'none'}.")
        pattern = "/".join([*parts[: start + 1], "{}", *parts[start + 4 :]])
        return self._routes(slot, version).get(pattern)

    def replace(self, slot: Slot, served: Served) -> None:
        """Let another version answer; called in the event loop.

        The former one is closed once its last answer is given.
        """
        if served.role == "pinned" and served.version in slot.pinned:
            former: Served | None = slot.pinned[served.version]
            slot.pinned[served.version] = served
        else:
            former, slot.current = slot.current, served
        if former is not None:
            former.retire()

    async def _predict(
        self, request: Request, slot: Slot, version: int | None
    ) -> Reply:
        """Answer the plain route."""
        served = _pick(slot, version, request)
        media_type = request.headers.get(b"content-type", b"")
        show = request.query == _SHOW
        if request.query and not show:
            shown = request.query[:60].decode("latin-1")
            raise HttpError(400, f"The query is {shown!r}; show=input is known.")
        body = request.body
        read = partial(served.reader.read, media_type, body)
        is_slow = served.reader.resizes
        async with read_beside(served, body, read, is_slow=is_slow) as (payload, items):
            outputs = await _outputs(served, items)
        whole = payload if len(payload) == 1 else payload.reshape(1, -1)  # of parts
        html = served.reader.as_html(whole[0]) if show else None
        output = served.task.answers.join(outputs)
        body = plain_answers.answer_body(served, request.id, output, html)
        self._answered(request, served, items, outputs, version)
        return Reply(200, [JSON, NO_SNIFF, served.version_header], body)

    async def _say(self, request: Request, slot: Slot, version: int | None) -> Reply:
        """Say a message."""
        served = _pick(slot, version, request)
        read = partial(plain_answers.message_of, served, request.body)
        async with read_beside(served, request.body, read) as items:
            outputs = await _outputs(served, items)
        self._answered(request, served, items, outputs, version)
        return plain_answers.sound_reply(served, outputs)

    async def _infer(self, request: Request, slot: Slot, version: int | None) -> Reply:
        """Answer a request for inference."""
        served = _pick(slot, version, request)
        length = request.headers.get(protocol.HEADER_LENGTH)
        media_type = request.headers.get(b"content-type", b"")
        body = request.body
        read = partial(protocol.parse, served, body, length, media_type)
        async with read_beside(served, body, read) as parsed:
            outputs = await _outputs(served, parsed.items)
        reply = protocol.reply_of(served, parsed, outputs, request.id)
        if not request.has_own_id:
            request.id = sane_id(parsed.own_id) or request.id
        self._answered(request, served, parsed.items, outputs, version)
        return reply

    def _answered(
        self,
        request: Request,
        served: Served,
        items: Payload,
        outputs: Outputs,
        named: int | None,
    ) -> None:
        """Count an answer, and let the observers know of it."""
        seconds = time.perf_counter() - request.began
        self._app.metrics.time(served.model, served.version, seconds)
        if not self.observers:
            return
        answered = Answered(
            request_id=request.id,
            time_us=time.time_ns() // 1000,
            model=served.model,
            version=served.version,
            role="try" if request.query == _SHOW else served.role,
            items=items,
            outputs=outputs,
            latency_ms=1000 * seconds,
            engine=served.engine.name,
            description=served.description,
            is_named=named is not None,
        )
        for observe in self.observers:
            observe(answered)

    async def _ready(self, request: Request) -> Reply:
        """Whether there is an answer for each model, and what is wrong."""
        value: dict[str, Any] = {
            "ready": all(s.current and not s.current.failure for s in self._all())
        }
        failures = {slot.model: slot.failure for slot in self._all() if slot.failure}
        if failures:
            value["failures"] = failures
        for notice in self.notices:
            value |= notice()
        is_ready = value["ready"]
        return json_reply(value, 200 if is_ready else 503, _later(is_ready))

    def _all(self) -> Iterator[Slot]:
        return iter(self.slots.values())

    async def _list(self, request: Request) -> Reply:
        """The model of each slot, with all versions that can be named."""
        listed = [Listed.of(slot, slot.current) for slot in self._all() if slot.current]
        return json_reply({"models": [model.model_dump() for model in listed]})

    def metrics(self) -> Iterator[ExposedMetric]:
        """The versions that answer, and their queues."""
        loaded = [one for slot in self._all() for one in slot.versions.values()]
        labels = [{"model": s.model, "version": str(s.version)} for s in loaded]
        engines = [
            ({**own, "engine": one.engine.name, "role": one.role}, 1.0)
            for own, one in zip(labels, loaded, strict=True)
        ]
        yield ExposedMetric(
            "engine_info", "gauge", "The versions that answer.", engines
        )
        waiting = [(own, one.waiting) for own, one in zip(labels, loaded, strict=True)]
        yield ExposedMetric(
            "waiting", "gauge", "Requests in the queue of a version.", waiting
        )
        about, held = "Bytes of bodies in memory.", self._app.bodies.held
        yield ExposedMetric("body_bytes", "gauge", about, [({}, held)])


async def _explain(request: Request, slot: Slot, version: int | None) -> Reply:
    return await explain_answer(request, _pick(slot, version, request))


async def _generate(request: Request, slot: Slot, version: int | None) -> Reply:
    return await write_text(request, _pick(slot, version, request))


async def _metadata(request: Request, slot: Slot, version: int | None) -> Reply:
    tensors = _pick(slot, version, request).tensors
    return json_reply(tensors.metadata(slot.model, slot.versions))


async def _model_ready(request: Request, slot: Slot, version: int | None) -> Reply:
    is_ready = not _pick(slot, version, request).failure
    value = {"name": slot.model, "ready": is_ready}
    return json_reply(value, 200 if is_ready else 503, _later(is_ready))


def _pick(slot: Slot, version: int | None, request: Request) -> Served:
    """What answers a request: one reading of one reference."""
    served = slot.champion() if version is None else slot.versions.get(version)
    if served is None:  # it was replaced while the body arrived
        raise HttpError(404, f"Version {version} of {slot.model} is not loaded.")
    request.model, request.version = served.model, served.version
    return served


async def _outputs(served: Served, items: Payload) -> Outputs:
    outputs = served.answer_now(items)
    return await served.answer(items) if outputs is None else outputs


def _later(is_ready: bool) -> Headers:
    return [] if is_ready else [(b"retry-after", b"1")]


def _constant(value: Any) -> Handler:
    async def answer(request: Request) -> Reply:
        return json_reply(value)

    return answer
