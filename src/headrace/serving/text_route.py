"""The route that writes texts: whole as JSON, or in pieces as server-sent events.

Each text has a seed and states of its own, so no answer depends on who else asks.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import Field

from headrace.records import Record
from headrace.serving.beside import read_beside
from headrace.serving.bodies import json_object
from headrace.serving.replies import (
    EVENTS,
    NO_SNIFF,
    NO_STORE,
    HttpError,
    Reply,
    encoded,
    json_reply,
)
from headrace.use import generating

if TYPE_CHECKING:
    from headrace.serving.app import Request
    from headrace.serving.served import Served


class Wish(generating.TextRequest):
    """What the body of a request asks for."""

    stream: bool = Field(default=False, description="in pieces, as server-sent events")


class WrittenText(Record):
    """A text as a whole, with the prompt."""

    model: str
    version: int
    request_id: str
    seed: int
    text: str


async def write_text(request: Request, served: Served) -> Reply:
    """Answer a request for a text.

    Args:
        request: its body is a JSON object with fields of `Wish`.
        served: the version that writes.

    Raises:
        HttpError: 404 where the version writes no texts, 400 for a body that is no JSON
            object.
        InputError: a field is unknown, or its value out of range.
    """
    if served.texts is None:
        task = served.description.task
        raise HttpError(404, f"{served} is a model for {task}, and writes no texts.")
    read = partial(_wish_of, request.body)
    async with read_beside(served, request.body, read) as wish:
        pieces = served.write_text(wish)
        # What the model refuses has a status, so the first piece is awaited before it.
        first = await anext(pieces, "")
    names: dict[str, Any] = {
        "model": served.model,
        "version": served.version,
        "request_id": request.id,
        "seed": wish.seed,
    }
    if not wish.stream:
        rest = [piece async for piece in pieces]
        prompt, _ = generating.as_read(wish.prompt, served.description.mask)
        text = "".join([prompt, first, *rest])
        body = WrittenText(**names, text=text).model_dump()
        return json_reply(body, headers=[served.version_header])
    headers = [EVENTS, NO_STORE, NO_SNIFF, served.version_header]
    events = _events(first, pieces, names)
    return Reply(200, headers, _event("begin", names), events)


def _wish_of(body: bytes) -> Wish:
    """What a body asks for."""
    return Wish(**json_object(body or b"{}"))


async def _events(
    first: str, pieces: AsyncIterator[str], names: dict[str, Any]
) -> AsyncIterator[bytes]:
    began, count = time.perf_counter(), 0
    try:
        yield _event("text", {"text": first})
        async for piece in pieces:
            count += len(piece)
            yield _event("text", {"text": piece})
    except HttpError as error:  # the status is sent
        yield _event("error", {"error": error.message})
        return
    finally:
        with contextlib.suppress(RuntimeError):
            await pieces.aclose()  # type: ignore[attr-defined]
    seconds = round(time.perf_counter() - began, 3)
    characters = len(first) + count
    yield _event("end", {**names, "characters": characters, "seconds": seconds})


def _event(kind: str, value: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), encoded(value))
