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
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from headrace.errors import DependencyError
from headrace.serving.replies import HttpError, unavailable
from headrace.state import children
from headrace.use.generating import Request

if TYPE_CHECKING:
    from headrace.settings import Settings
    from headrace.state.ledger import Version

MODULE = "headrace.serving.texts_process"
TEXTS_AT_ONCE = 32
START_SECONDS = 300.0
PIECE_SECONDS = 60.0  # until the next piece must have come
_LINE_BYTES = 2**22

Piece = dict[str, Any]


class TextProcess:
    """Writes texts in a process of its own, which has loaded the version.

    It ends with this process, however this one ends. It is used in one event loop.

    Args:
        version: its row in the ledger.
        settings: where its files are.
        start_seconds: until it must be ready.

    Raises:
        DependencyError: the process crashed, cannot load the version, or did not start
            in time.
    """

    def __init__(
        self,
        version: Version,
        settings: Settings,
        *,
        start_seconds: float = START_SECONDS,
    ) -> None:
        self._name = str(version)
        self._failure = ""
        self._numbers = itertools.count()
        self._texts: dict[int, asyncio.Queue[Piece]] = {}
        self._opening = asyncio.Lock()
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._connection, theirs = socket.socketpair()
        with theirs:
            self._process = children.start(
                MODULE,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                process_group=0,  # an interrupt is for this process alone
            )
        self.pid = self._process.pid
        order = {
            "version": version.model_dump(mode="json"),
            "settings": settings.for_child(),
        }
        try:
            self._start(order, start_seconds)
        except BaseException:
            self.close()
            raise

    def _start(self, order: Piece, seconds: float) -> None:
        self._connection.settimeout(seconds)
        try:
            self._connection.sendall(json.dumps(order).encode() + b"\n")
            with self._connection.makefile("rb") as lines:
                failure = json.loads(lines.readline())["failure"]
        except TimeoutError:
            failure = f"did not start within {seconds:g} s"
        except (OSError, ValueError, KeyError):
            failure = "ended when it was started"
        if failure:
            raise DependencyError(
                f"The process that writes texts of {self._name} {failure}.",
                "Run the same command again; with more memory, if it was killed.",
            )

    @property
    def failure(self) -> str:
        """Why it writes no more; empty while it does."""
        has_ended = self._process.poll() is not None
        return self._failure or ("has ended" if has_ended else "")

    async def stream(self, request: Request) -> AsyncIterator[str]:
        """The pieces of a text, its prompt left out.

        Raises:
            HttpError: 503 where too many texts are being written, or the process has
                ended; 422 where the model does not know a character of the prompt.
        """
        if len(self._texts) >= TEXTS_AT_ONCE:
            raise unavailable(
                f"{TEXTS_AT_ONCE} texts of {self._name} are being written; no more are "
                "taken. Try again in a second."
            )
        number, pieces = next(self._numbers), asyncio.Queue[Piece]()
        self._texts[number] = pieces
        is_ended = False
        try:
            own = request.model_dump(include={*Request.model_fields})
            await self._send({"number": number, **own})
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
            raise self._unavailable(self.failure)
        async with self._opening:
            if self._writer is None:
                reader, self._writer = await asyncio.open_connection(
                    sock=self._connection, limit=_LINE_BYTES
                )
                self._reading = asyncio.create_task(self._read(reader, self._writer))
        try:
            self._writer.write(json.dumps(message).encode() + b"\n")
            await self._writer.drain()
        except OSError:
            raise self._unavailable("has ended") from None

    async def _read(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Hand each piece to the request that waits for it, until the process ends."""
        with contextlib.suppress(OSError, ValueError):
            while line := await reader.readline():
                piece = json.loads(line)
                if (pieces := self._texts.get(piece["number"])) is not None:
                    pieces.put_nowait(piece)
        self._failure = self._failure or "has ended"
        writer.close()
        for pieces in self._texts.values():
            pieces.put_nowait({"failure": self._failure})

    def _unavailable(self, reason: str) -> HttpError:
        return unavailable(
            f"The process that writes texts of {self._name} {reason}. Try again in a "
            "few seconds.",
            5,
        )

    def close(self) -> None:
        """End the process; texts that are being written end with it."""
        self._failure = self._failure or "was closed"
        self._process.kill()
        self._process.wait()
        if self._writer is None:
            self._connection.close()
