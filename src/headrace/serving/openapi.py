"""The OpenAPI 3.1 document of a server, built from the models that are loaded."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING

from headrace import __version__
from headrace.explanations import why_not
from headrace.serving.explanation_route import ExplainedItem
from headrace.serving.listing import Listed
from headrace.serving.plain import JSON_TYPE, RAW
from headrace.serving.protocol import Inferred
from headrace.serving.replies import Error
from headrace.serving.text_route import Wish, WrittenText
from headrace.tasks import asks_items
from headrace.wire import Schema, schema_of

if TYPE_CHECKING:
    from headrace.serving.served import Served
    from headrace.serving.slots import Slot

_COMMON = (400, 401, 403, 404, 405, 431)
_OF_BODIES = (408, 413, 415, 422, 503)


def document(slots: Iterable[Slot]) -> Schema:
    """The document for the present versions of some models."""
    ready = _object({"ready": {"type": "boolean"}}, ["ready"], is_open=True)
    paths: Schema = {
        "/v2": _get("The server and its extensions", {"type": "object"}),
        "/v2/health/live": _get(
            "Whether it runs", _object({"live": {"type": "boolean"}}, ["live"])
        ),
        "/v2/health/ready": _get("Whether it can answer", ready, unready=ready),
        "/models": _get(
            "The models that answer",
            _object({"models": {"type": "array", "items": schema_of(Listed)}}),
        ),
        "/metrics": _get("Metrics for Prometheus", {"type": "string"}, kind=_TEXT),
    }
    for slot in slots:
        if slot.current is None:
            continue
        paths |= _of_model(slot, slot.current)
        for version, served in sorted(slot.versions.items()):
            base = f"/v2/models/{slot.model}/versions/{version}"
            paths |= _inference(base, served)
            paths |= _plain(f"/models/{slot.model}/versions/{version}", served)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Headrace",
            "version": __version__,
            "description": "Answers of models, by the Open Inference Protocol v2 and "
            "by a plain route. Every answer names the version that gave it.",
        },
        "paths": paths,
        "components": {
            "schemas": {"Error": schema_of(Error)},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


_TEXT = "text/plain"


def _of_model(slot: Slot, served: Served) -> Schema:
    return {
        **_plain(f"/models/{slot.model}", served),
        **_inference(f"/v2/models/{slot.model}", served),
    }


def _plain(base: str, served: Served) -> Schema:
    paths = {f"{base}/predict": _predict(served)}
    if not why_not(served.description):
        paths[f"{base}/explain"] = _explain(served)
    if served.texts is not None:
        paths[f"{base}/generate"] = _generate(served)
    if served.task.speaks:
        paths[f"{base}/say"] = _saying(served)
    return paths


def _generate(served: Served) -> Schema:
    """The route that writes texts."""
    path = _post(
        f"A text of {served.model}", _as_json(schema_of(Wish)), schema_of(WrittenText)
    )
    path["post"]["requestBody"]["required"] = False
    whole = path["post"]["responses"]["200"]["content"]
    whole["text/event-stream"] = {"schema": {"type": "string"}}
    return path


def _inference(base: str, served: Served) -> Schema:
    ready: Schema = {"type": "object"}
    return {
        base: _get("The inputs and outputs of a model", {"type": "object"}),
        f"{base}/ready": _get("Whether it can answer", ready, unready=ready),
        f"{base}/infer": _infer(served),
    }


def _explain(served: Served) -> Schema:
    """The route that explains an answer."""
    schema = schema_of(ExplainedItem)
    answer = _object(served.task.answers.json_schema(served.description))
    schema = {**schema, "properties": {**schema["properties"], "answer": answer}}
    summary = f"Which parts speak for the answer of {served.model}"
    return _post(summary, _items(served), schema)


def _items(served: Served) -> Schema:
    """The bodies that hold one item."""
    text = _object({"text": {"type": "string", "minLength": 1}}, ["text"])
    if not asks_items(served.description):
        text = served.tensors.questions.json_schema(served.description)
    return {
        kind: {"schema": text if kind == JSON_TYPE else {}}
        for kind in served.reader.types
    }


def _predict(served: Served) -> Schema:
    """The plain route of a version."""
    members = served.task.answers.json_schema(served.description)
    answer = {
        "model": {"type": "string"},
        "version": {"type": "integer"},
        "request_id": {"type": "string"},
        **members,
    }
    required = list(answer)
    answer["input"] = {"type": "string", "description": "HTML of what the model saw"}
    show = {
        "name": "show",
        "in": "query",
        "description": "adds what the model saw",
        "schema": {"enum": ["input"]},
    }
    summary = f"The answer of {served.model} to one item"
    path = _post(summary, _items(served), _object(answer, required))
    path["post"]["parameters"] = [show]
    return path


def _saying(served: Served) -> Schema:
    """The route that says a message of a model's texts."""
    schema = served.tensors.questions.json_schema(served.description)
    text = {"type": "string", "minLength": 1}
    schema = {**schema, "properties": {**schema["properties"], "text": text}}
    summary = f"A message in a voice of {served.model}"
    return _post(summary, _as_json(schema), {}, "audio/wav")


def _infer(served: Served) -> Schema:
    schema = schema_of(served.tensors.form)
    summary = f"The outputs of {served.model} for items"
    path = _post(summary, _as_json(schema), schema_of(Inferred))
    path["post"]["responses"]["200"]["content"][RAW] = {}
    return path


def _as_json(schema: Schema) -> Schema:
    return {JSON_TYPE: {"schema": schema}}


def _post(summary: str, body: Schema, schema: Schema, kind: str = JSON_TYPE) -> Schema:
    """A path that answers a body, given by its media types."""
    return {
        "post": {
            "summary": summary,
            "requestBody": {"required": True, "content": body},
            "responses": _responses(schema, (*_COMMON, *_OF_BODIES), kind),
        }
    }


def _get(
    summary: str, schema: Schema, kind: str = JSON_TYPE, unready: Schema | None = None
) -> Schema:
    responses = _responses(schema, _COMMON, kind)
    if unready is not None:
        responses["503"] = _response(503, unready)
    return {"get": {"summary": summary, "responses": responses}}


def _responses(schema: Schema, errors: Iterable[int], kind: str = JSON_TYPE) -> Schema:
    reference = {"$ref": "#/components/schemas/Error"}
    refused = {str(status): _response(status, reference) for status in errors}
    return {"200": _response(200, schema, kind), **refused}


def _response(status: int, schema: Schema, kind: str = JSON_TYPE) -> Schema:
    about = HTTPStatus(status).phrase
    return {"description": about, "content": {kind: {"schema": schema}}}


def _object(
    properties: Schema, required: list[str] | None = None, *, is_open: bool = False
) -> Schema:
    schema: Schema = {"type": "object", "properties": properties}
    schema["required"] = list(properties) if required is None else required
    return schema if is_open else schema | {"additionalProperties": False}
