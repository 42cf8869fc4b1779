"""The route that writes texts: whole as JSON, or in pieces as server-sent events.

Each text has a seed and states of its own, so no answer depends on who else asks.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any

from headrace.errors import InputError, did_you_mean
from headrace.use.generating import Request as Wish
from headrace.use.generating import as_read
from headrace.use.serving.long_json import read_beside
from headrace.use.serving.plain import json_object
from headrace.use.serving.replies import (
    EVENTS,
    JSON,
    NO_SNIFF,
    NO_STORE,
    HttpError,
    Reply,
    encoded,
)

if TYPE_CHECKING:
    from headrace.use.serving.app import Request
    from headrace.use.serving.served import Served

_FIELDS = [field.name for field in fields(Wish)]
_STREAM = "stream"


async def write_text(request: Request, served: Served) -> Reply:
    """Answer a request for a text.

    Args:
        request: its body is a JSON object with fields of `headrace.use.generating
            .Request`, none of which is required, and ``stream``.
        served: the version that writes.

    Raises:
        HttpError: 404 where the version writes no texts, 400 for a body that is no JSON
            object, 422 for a value that is out of range.
    """
    if served.texts is None:
        task = served.description.task
        raise HttpError(404, f"{served} is a model for {task}, and writes no texts.")
    read = partial(_wish_of, request.body)
    async with read_beside(served, request.body, read) as (wish, streams):
        pieces = served.write_text(wish)
        # What the model refuses has a status, so the first piece is awaited before it.
        first = await anext(pieces, "")
    names = {
        "model": served.model,
        "version": served.version,
        "request_id": request.id,
        "seed": wish.seed,
    }
    if not streams:
        rest = [piece async for piece in pieces]
        prompt, _ = as_read(wish.prompt, served.description.mask)
        text = "".join([prompt, first, *rest])
        body = encoded({**names, "text": text})
        return Reply(200, [JSON, NO_SNIFF, served.version_header], body)
    headers = [EVENTS, NO_STORE, NO_SNIFF, served.version_header]
    events = _events(first, pieces, names)
    return Reply(200, headers, _event("begin", names), events)


def _wish_of(body: bytes) -> tuple[Wish, bool]:
    """What a body asks for, and whether it is to come in pieces."""
    values = json_object(body or b"{}")
    streams = values.pop(_STREAM, False)
    if not isinstance(streams, bool):
        raise HttpError(422, f"The field {_STREAM} is {streams!r:.40}, and no boolean.")
    for name in values:
        if name not in _FIELDS:
            known = [*_FIELDS, _STREAM]
            hint = did_you_mean(name[:100], known, f"Known: {', '.join(known)}.")
            raise HttpError(422, f"There is no field {name[:100]!r}. {hint}")
    try:
        return Wish(**values), streams
    except InputError as error:
        raise HttpError(422, str(error)) from None


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
