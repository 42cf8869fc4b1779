"""The route that explains an answer: which pieces of an item speak for it.

Occlusion needs answers only, so that the engine that answers explains as well. Its many
questions go through the queue of the version in small parts, between which others have
their turn. Where occlusion has not passed its sanity check and integrated gradients
have, these explain.
"""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from headrace.errors import DependencyError, HeadraceError
from headrace.explanations import Item, why_not
from headrace.explanations.items import Method, occluded
from headrace.explanations.parts import Explanation, strongest
from headrace.explanations.places import Map
from headrace.models.engines.batching import ROWS_AT_ONCE
from headrace.records import Record
from headrace.serving.beside import read_beside
from headrace.serving.plain_answers import not_finite
from headrace.serving.replies import HttpError, Reply, json_reply, unavailable

if TYPE_CHECKING:
    from headrace.media.forms import Payload
    from headrace.serving.app import Request
    from headrace.serving.served import Served
    from headrace.tasks.forms import Outputs

METHODS: tuple[Method, ...] = ("occlusion", "gradients")  # the first that passed
MOST_WAITING = 16  # requests to a version, whose answers come first


class Place(Record):
    """A place of a map; it has no name where it is smaller than a piece."""

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
    if served.is_unchecked:  # a check may have been made since
        await asyncio.to_thread(served.read_sanity)
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
    explained, method = served.task.explained, _method(served)
    of_map: dict[str, Any] = {}
    if method:
        chosen = int(explained.chosen(outputs)[0])
        item, map_ = await _in_turn(served, stored[0], chosen, method)
        names = explained.names(data)
        of_map = {
            "of": names[chosen] if names else "",
            "completeness_error": map_.error if np.isfinite(map_.error) else None,
            "parts": strongest(map_, item.pieces, most=None),
            "map": _rows(map_, item),
        }
    value = ExplainedItem(
        model=served.model,
        version=served.version,
        request_id=request.id,
        answer=answer,
        words=explained.words(outputs[0], data),
        method=method,
        unit=explained.UNIT,
        sanity=served.sanity,
        **of_map,
    )
    return json_reply(value.model_dump(), headers=[served.version_header])


def _method(served: Served) -> Method | Literal[""]:
    """The method to use; empty if none may be."""
    passed = (m for m in METHODS if served.sanity[m].status == "passed")
    return next(passed, "")


async def _in_turn(
    served: Served, stored: Payload, chosen: int, method: Method
) -> tuple[Item, Map]:
    """An item and its map; one at a time is made, in a thread."""
    loop = asyncio.get_running_loop()

    def explain() -> tuple[Item, Map]:
        item = Item.of(stored, chosen, served.description)
        if method == "occlusion":
            return item, _occluded(served, item, loop)
        values, error = served.gradients(stored)
        return item, Map(np.nan_to_num(values), ~np.isnan(values), error)

    async with served.explaining:
        try:
            return await asyncio.to_thread(explain)
        except DependencyError as error:
            again = f"{error.message} Try again in a few seconds."
            raise unavailable(again, 5) from None
        except HeadraceError as error:
            raise unavailable(f"{error.message} {error.action}", 5) from None


def _occluded(served: Served, item: Item, loop: asyncio.AbstractEventLoop) -> Map:
    """The map by occlusion; called in a thread, while the loop answers."""

    def answer(raw: Payload) -> Outputs:
        starts = range(0, len(raw), ROWS_AT_ONCE)
        parts = (raw[start : start + ROWS_AT_ONCE] for start in starts)
        asked = (
            asyncio.run_coroutine_threadsafe(served.answer(p), loop) for p in parts
        )
        return np.concatenate([one.result() for one in asked])

    return occluded(answer, [item], served.description)[0]


def _rows(map_: Map, item: Item) -> list[list[Place]]:
    """The rows of a map: the piece in each place, and its value where there is one."""
    height, width = map_.values.shape
    is_of_pieces = map_.values.shape == item.pieces.shape
    names, values = item.pieces.names, map_.values.tolist()
    return [
        [
            Place(
                name=names[row * width + column] if is_of_pieces else "",
                value=values[row][column] if map_.present[row, column] else None,
            )
            for column in range(width)
        ]
        for row in range(height)
    ]
