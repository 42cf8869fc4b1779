"""Bodies that are read beside the event loop."""

import asyncio
import threading

import numpy as np
from tests.src.serving.conftest import IMAGE, serving

from headrace.serving.beside import SHORT_BYTES, read_beside


def test_long_bodies_are_read_beside_the_event_loop():
    served = serving(IMAGE)

    async def readers(size):
        loop = threading.get_ident()
        async with read_beside(served, b" " * size, threading.get_ident) as reader:
            assert bool(served.waiting) == (size > SHORT_BYTES)  # it stays open
            return loop, reader

    loop, reader = asyncio.run(readers(SHORT_BYTES))
    assert loop == reader
    loop, reader = asyncio.run(readers(SHORT_BYTES + 1))
    assert loop != reader
    assert not served.waiting


def test_short_requests_are_answered_at_once_while_a_long_body_is_read():
    served = serving(IMAGE, inline_rows=1)
    body = b" " * (SHORT_BYTES + 1)

    async def answer_beside():
        async with read_beside(served, body, lambda: None):
            return served.answer_now(np.zeros((1, 4, 4, 1), np.uint8))

    assert asyncio.run(answer_beside()) is not None
