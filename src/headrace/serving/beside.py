"""Bodies that are read in a thread, beside the event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from headrace.serving.served import Served

SHORT_BYTES = 2**15  # what is read at once, in a few milliseconds at most
_READERS = ThreadPoolExecutor(2, "reader")  # so many bodies take memory at a time
T = TypeVar("T")


@contextlib.asynccontextmanager
async def read_beside(
    served: Served, body: bytes, read: Callable[[], T], *, is_slow: bool = False
) -> AsyncIterator[T]:
    """What a function makes of a body; a long one in a thread, beside the event loop.

    Args:
        served: answers in the block, and is not closed between reading and answering.
        body: of the request.
        read: the function.
        is_slow: whether also a short body may take long, as a large image does.
    """
    if len(body) <= SHORT_BYTES and not is_slow:
        yield read()
        return
    served.refuse_if_full()
    with served.in_use():
        yield await asyncio.get_running_loop().run_in_executor(_READERS, read)
