"""The process in which a version of a language model writes, as the server sees it.

The server itself imports no TensorFlow. Requests and pieces of texts are lines of JSON;
the process writes all texts in turn, a piece each, so that none waits for another.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from headrace.use.serving.replies import HttpError

if TYPE_CHECKING:
    from headrace.settings import Settings
    from headrace.state.ledger import Version
    from headrace.use.generating import Request

TEXTS_AT_ONCE = 32
RESTART_SECONDS = 10.0  # between two starts
PIECE_SECONDS = 60.0  # until the next piece must have come
_LINE_BYTES = 2**22

Piece = dict[str, Any]


class TextProcess:
    """Writes texts in a process of its own, which loads the version at once.

    It ends with this process, however this one ends. One that has ended by itself is
    started again for the next request. It is used in one event loop.

    Args:
        version: its row in the ledger.
        settings: where its files are.

    Attributes:
        failure: why it writes no more; empty while it does.
    """

    def __init__(self, version: Version, settings: Settings) -> None:
        self._name = str(version)
        self._order = {
            "version": version.model_dump(mode="json"),
            "settings": settings.for_child(),
        }
        self._numbers = itertools.count()
        self._texts: dict[int, asyncio.Queue[Piece]] = {}
        self._is_closed = False
        self._start()

    def _start(self) -> None:
        self.failure, self._began = "", time.monotonic()
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._connection, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-Pm", "headrace.use.serving.texts_process"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # an interrupt is for this process alone
            )
        self._connection.sendall(json.dumps(self._order).encode() + b"\n")

    async def stream(self, request: Request) -> AsyncIterator[str]:
        """The pieces of a text, its prompt left out.

        Raises:
            HttpError: 503 where too many texts are being written, or the process has
                ended; 422 where the model does not know a character of the prompt.
        """
        if len(self._texts) >= TEXTS_AT_ONCE:
            raise HttpError(
                503,
                f"{TEXTS_AT_ONCE} texts of {self._name} are being written; no more are "
                "taken. Try again in a second.",
                [(b"retry-after", b"1")],
            )
        number, pieces = next(self._numbers), asyncio.Queue[Piece]()
        self._texts[number] = pieces
        is_ended = False
        try:
            await self._send({"number": number, **_fields(request)})
            while True:
                async with asyncio.timeout(PIECE_SECONDS):
                    piece = await pieces.get()
                is_ended = "text" not in piece
                if "refusal" in piece:
                    raise HttpError(422, piece["refusal"])
                if "failure" in piece:
                    raise self._unavailable(piece["failure"])
                if is_ended:
                    return
                yield piece["text"]
        except TimeoutError:
            raise self._unavailable("does not answer") from None
        finally:
            del self._texts[number]
            if not is_ended:
                with contextlib.suppress(HttpError):
                    await self._send({"number": number, "ends": True})

    async def _send(self, message: Piece) -> None:
        if self.failure:
            self._restart()
        if self._writer is None:
            reader, self._writer = await asyncio.open_connection(
                sock=self._connection, limit=_LINE_BYTES
            )
            self._reading = asyncio.create_task(self._read(reader))
        try:
            self._writer.write(json.dumps(message).encode() + b"\n")
            await self._writer.drain()
        except OSError:
            raise self._unavailable("has ended") from None

    def _restart(self) -> None:
        """Start the process again, unless it ended just after its start."""
        if self._is_closed or time.monotonic() - self._began < RESTART_SECONDS:
            raise self._unavailable(self.failure)
        self._process.wait()
        self._start()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """Hand each piece to the request that waits for it, until the process ends."""
        with contextlib.suppress(OSError, ValueError):
            while line := await reader.readline():
                piece = json.loads(line)
                if "number" not in piece:
                    self.failure = str(piece["failure"])
                elif (pieces := self._texts.get(piece["number"])) is not None:
                    pieces.put_nowait(piece)
        self.failure = self.failure or "has ended"
        for pieces in self._texts.values():
            pieces.put_nowait({"failure": self.failure})

    def _unavailable(self, reason: str) -> HttpError:
        return HttpError(
            503,
            f"The process that writes texts of {self._name} {reason}. Try again in a "
            "few seconds.",
            [(b"retry-after", b"5")],
        )

    def close(self) -> None:
        """End the process; texts that are being written end with it."""
        self._is_closed, self.failure = True, self.failure or "was closed"
        self._process.kill()
        self._process.wait()


def _fields(request: Request) -> Piece:
    return {name: getattr(request, name) for name in type(request).__slots__}
