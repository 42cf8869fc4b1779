"""The route that explains an answer: which pieces of an item speak for it.

Occlusion needs answers only, so that the engine that answers explains as well. Its many
questions go through the queue of the version in small parts, between which others have
their turn.
"""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from headrace.explanations import Item, occlude, why_not
from headrace.explanations.check import Explanation
from headrace.models.engines.hosted import ROWS_AT_ONCE
from headrace.records import Record
from headrace.serving.beside import read_beside
from headrace.serving.replies import (
    HttpError,
    Reply,
    json_reply,
    not_finite,
    unavailable,
)

if TYPE_CHECKING:
    from headrace.explanations.occlusion import Floats
    from headrace.media.forms import Payload
    from headrace.serving.app import Request
    from headrace.serving.served import Served
    from headrace.tasks.forms import Outputs

MOST_WAITING = 16  # requests to a version, whose answers come first


class Place(Record):
    """A place of a map, which is that of a piece."""

    name: str
    value: float | None


class ExplainedItem(Explanation):
    """The explanation of the answer to a request."""

    version: int
    request_id: str
    map: tuple[tuple[Place, ...], ...] = Field(
        default=(), description="rows of pieces in their places; null where nothing is"
    )


async def explain_answer(request: Request, served: Served) -> Reply:
    """Explain the answer to an item.

    Args:
        request: its body is an item, as the plain route takes it.
        served: the version that answers.

    Raises:
        HttpError: 400 for a query, 404 where such answers are not explained, 503 where
            too many wait for an explanation, and as the plain route.
    """
    if request.query:
        shown = request.query[:60].decode("latin-1")
        raise HttpError(
            400, f"The query is {shown!r}; an explanation is of what the model answers."
        )
    if reason := why_not(served.description):
        raise HttpError(404, f"{served} explains nothing: {reason}.")
    if served.waiting >= MOST_WAITING:
        raise unavailable(
            f"{served.waiting} requests wait for {served}; answers are explained when "
            "fewer do. Try again in a second."
        )
    with served.in_use():  # from the first answer to the last
        return await _explained(request, served)


async def _explained(request: Request, served: Served) -> Reply:
    data = served.description
    media_type = request.headers.get(b"content-type", b"")
    read = partial(served.reader.read, media_type, request.body)
    is_slow = served.reader.resizes
    async with read_beside(served, request.body, read, is_slow=is_slow) as asked:
        stored, raw = asked
        outputs = await served.answer(raw)
    try:
        answer = json.loads(f"{{{served.write(outputs[0])}}}")
    except FloatingPointError:
        raise not_finite(served) from None
    explained = served.task.explained
    of_map: dict[str, Any] = {}
    if served.sanity.status == "passed":
        chosen = int(explained.chosen(outputs)[0])
        item, values = await _in_turn(served, stored[0], chosen)
        names = explained.names(data)
        of_map = {
            "of": names[chosen] if names else "",
            "parts": item.parts(values),
            "map": _rows(item, values),
        }
    value = ExplainedItem(
        model=served.model,
        version=served.version,
        request_id=request.id,
        answer=answer,
        words=explained.words(outputs[0], data),
        unit=explained.UNIT,
        sanity=served.sanity,
        **of_map,
    )
    return json_reply(value.model_dump(), headers=[served.version_header])


async def _in_turn(served: Served, stored: Payload, chosen: int) -> tuple[Item, Floats]:
    """An item and what its pieces do; one at a time is explained, in a thread."""
    loop = asyncio.get_running_loop()

    def explain() -> tuple[Item, Floats]:
        item = Item.of(stored, chosen, served.description)
        return item, _occluded(served, item, loop)

    async with served.explaining:
        return await asyncio.to_thread(explain)


def _occluded(served: Served, item: Item, loop: asyncio.AbstractEventLoop) -> Floats:
    """What the pieces do; called in a thread, while the loop answers."""

    def answer(raw: Payload) -> Outputs:
        starts = range(0, len(raw), ROWS_AT_ONCE)
        parts = (raw[start : start + ROWS_AT_ONCE] for start in starts)
        asked = (
            asyncio.run_coroutine_threadsafe(served.answer(p), loop) for p in parts
        )
        return np.concatenate([one.result() for one in asked])

    return occlude(answer, [item], served.description)[0]


def _rows(item: Item, values: Floats) -> list[list[Place]]:
    """The rows of a map: the piece in each place, and its value where there is one."""
    height, width = item.pieces.shape
    both = zip(values.tolist(), item.pieces.present.tolist(), strict=True)
    shown = [value if present else None for value, present in both]
    places = [
        Place(name=name, value=value)
        for name, value in zip(item.pieces.names, shown, strict=True)
    ]
    return [places[row * width : (row + 1) * width] for row in range(height)]
