"""The routes of models: inference, the plain route, metadata and health."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.errors import did_you_mean
from headrace.serving import plain, protocol
from headrace.serving.answered import Answered, Observer
from headrace.serving.app import Request, sane_id
from headrace.serving.beside import read_beside
from headrace.serving.explanation_route import explain_answer
from headrace.serving.listing import Listed
from headrace.serving.metrics import CONTENT_TYPE, exposed
from headrace.serving.replies import (
    JSON,
    NO_SNIFF,
    NO_STORE,
    Headers,
    HttpError,
    Reply,
    json_reply,
)
from headrace.serving.text_route import write_text

if TYPE_CHECKING:
    from prometheus_client import Metric

    from headrace.media.forms import Payload
    from headrace.serving.app import App, Handler
    from headrace.serving.listing import Slot
    from headrace.serving.served import Served
    from headrace.tasks.forms import Outputs

VERSION = version("headrace")
_SHOW = b"show=input"
OfVersion = Callable[[Request, "Served"], Awaitable[Reply]]


class Models:
    """The models of a server, and their routes.

    Args:
        app: gets their paths.
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
        for named in ("/models/{model}", "/models/{model}/versions/{version}"):
            self._add(named)
        server = {
            "name": "headrace",
            "version": VERSION,
            "extensions": protocol.EXTENSIONS,
        }
        app.add("/v2", _constant(server))
        app.add("/v2/", _constant(server))
        app.add("/v2/health/live", _constant({"live": True}), is_open=True)
        app.add("/v2/health/ready", self._ready, is_open=True)
        app.add("/models", self._list)
        document = json.loads(Path(__file__).with_name("openapi.json").read_text())
        document["info"]["version"] = VERSION
        app.add("/openapi.json", _constant(document))
        app.add("/metrics", self._exposed)
        app.metrics.sources.append(self.metrics)

    def _add(self, named: str) -> None:
        """Add the paths of a model or of one of its versions."""
        for path, handler, method in (
            (f"{named}/predict", self._predict, "POST"),
            (f"/v2{named}/infer", self._infer, "POST"),
            (f"{named}/generate", write_text, "POST"),
            (f"{named}/say", self._say, "POST"),
            (f"{named}/explain", explain_answer, "POST"),
            (f"/v2{named}", self._metadata, "GET"),
            (f"/v2{named}/ready", _model_ready, "GET"),
        ):
            self._app.add(path, self._of_version(handler), method)

    def _of_version(self, handler: OfVersion) -> Handler:
        async def answer(request: Request) -> Reply:
            return await handler(request, self._pick(request))

        return answer

    def _pick(self, request: Request) -> Served:
        """What answers a request: one reading of one reference; else HttpError 404."""
        model, number = request.parts["model"], request.parts.get("version")
        slot = self.slots.get(model)
        if slot is None:
            listed = f"Models here: {', '.join(self.slots)}."
            hint = did_you_mean(model[:100], self.slots, listed)
            raise HttpError(404, f"There is no model {model[:100]!r}. {hint}")
        if number is None:
            served: Served | None = slot.champion()
        else:
            loaded = slot.versions
            served = next((loaded[v] for v in loaded if str(v) == number), None)
        if served is None:
            known = ", ".join(map(str, sorted(slot.versions)))
            message = f"Version {str(number)[:20]!r} of {model} is not loaded; loaded: "
            raise HttpError(404, f"{message}{known or 'none'}.")
        request.model, request.version = served.model, served.version
        return served

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

    async def _predict(self, request: Request, served: Served) -> Reply:
        """Answer the plain route."""
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
        body = plain.answer_body(served, request.id, output, html)
        self._answered(request, served, items, outputs)
        return Reply(200, [JSON, NO_SNIFF, served.version_header], body)

    async def _say(self, request: Request, served: Served) -> Reply:
        """Say a message."""
        read = partial(plain.message_of, served, request.body)
        async with read_beside(served, request.body, read) as items:
            outputs = await _outputs(served, items)
        self._answered(request, served, items, outputs)
        return plain.sound_reply(served, outputs)

    async def _infer(self, request: Request, served: Served) -> Reply:
        """Answer a request for inference."""
        length = request.headers.get(protocol.HEADER_LENGTH)
        media_type = request.headers.get(b"content-type", b"")
        body = request.body
        read = partial(protocol.parse, served, body, length, media_type)
        async with read_beside(served, body, read) as parsed:
            outputs = await _outputs(served, parsed.items)
        reply = protocol.reply_of(served, parsed, outputs, request.id)
        if not request.has_own_id:
            request.id = sane_id(parsed.own_id) or request.id
        self._answered(request, served, parsed.items, outputs)
        return reply

    def _answered(
        self,
        request: Request,
        served: Served,
        items: Payload,
        outputs: Outputs,
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
            is_named="version" in request.parts,
        )
        for observe in self.observers:
            observe(answered)

    async def _metadata(self, request: Request, served: Served) -> Reply:
        versions = self.slots[served.model].versions
        return json_reply(served.tensors.metadata(served.model, versions))

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

    async def _exposed(self, request: Request) -> Reply:
        return Reply(200, [CONTENT_TYPE, NO_STORE], self._app.metrics.text())

    def metrics(self) -> Iterator[Metric]:
        """The versions that answer, and their queues."""
        loaded = [one for slot in self._all() for one in slot.versions.values()]
        labels = [{"model": s.model, "version": str(s.version)} for s in loaded]
        engines = [
            ({**own, "engine": one.engine.name, "role": one.role}, 1.0)
            for own, one in zip(labels, loaded, strict=True)
        ]
        yield exposed("engine_info", "gauge", "The versions that answer.", engines)
        waiting = [(own, one.waiting) for own, one in zip(labels, loaded, strict=True)]
        yield exposed(
            "waiting", "gauge", "Requests in the queue of a version.", waiting
        )
        about, held = "Bytes of bodies in memory.", self._app.bodies.held
        yield exposed("body_bytes", "gauge", about, [({}, held)])


async def _model_ready(request: Request, served: Served) -> Reply:
    is_ready = not served.failure
    value = {"name": served.model, "ready": is_ready}
    return json_reply(value, 200 if is_ready else 503, _later(is_ready))


async def _outputs(served: Served, items: Payload) -> Outputs:
    outputs = served.answer_now(items)
    return await served.answer(items) if outputs is None else outputs


def _later(is_ready: bool) -> Headers:
    return [] if is_ready else [(b"retry-after", b"1")]


def _constant(value: Any) -> Handler:
    async def answer(request: Request) -> Reply:
        return json_reply(value)

    return answer
