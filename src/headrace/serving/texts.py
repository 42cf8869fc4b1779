"""The process in which a version of a language model writes, as the server sees it.

The server itself imports no TensorFlow. A frame asks for a text, and one brings each of
its pieces; the process writes all texts in turn, so that none waits for another.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from headrace.errors import DependencyError
from headrace.serving.replies import HttpError, unavailable
from headrace.state.frames import FramedProcess, Header
from headrace.use.generating import TextRequest

if TYPE_CHECKING:
    from headrace.settings import Settings
    from headrace.state.ledger import Version

MODULE = "headrace.serving.texts_process"
TEXTS_AT_ONCE = 32
START_SECONDS = 300.0
PIECE_SECONDS = 60.0  # until the next piece must have come


class TextProcess:
    """Writes texts in a process of its own, which has loaded the version.

    It ends with this process, however this one ends. It is used in one event loop.

    Args:
        version: its row in the ledger.
        settings: where its files are.
        start_seconds: until it must be ready.

    Raises:
        IntegrityError: the version's file is gone or changed.
        DependencyError: the process crashed, or did not start in time.
    """

    def __init__(
        self,
        version: Version,
        settings: Settings,
        *,
        start_seconds: float = START_SECONDS,
    ) -> None:
        self._name = str(version)
        self._numbers = itertools.count()
        self._texts: dict[int, asyncio.Queue[Header]] = {}
        self._sending = asyncio.Lock()
        self._reading: threading.Thread | None = None
        self._process = FramedProcess(MODULE, f"process that writes texts of {version}")
        self.pid = self._process.pid
        order = {
            "version": version.model_dump(mode="json"),
            "settings": settings.for_child(),
        }
        try:
            self._process.converse(order, seconds=start_seconds)
        except BaseException:
            self.close()
            raise

    @property
    def failure(self) -> str:
        """Why it writes no more; empty while it does."""
        has_ended = self._process.code is not None
        return self._process.failure or ("has ended" if has_ended else "")

    async def stream(self, request: TextRequest) -> AsyncIterator[str]:
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
        number, pieces = next(self._numbers), asyncio.Queue[Header]()
        self._texts[number] = pieces
        is_ended = False
        try:
            own = request.model_dump(include={*TextRequest.model_fields})
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

    async def _send(self, message: Header) -> None:
        if self.failure:
            raise self._unavailable(self.failure)
        async with self._sending:
            if self._reading is None:
                loop = asyncio.get_running_loop()
                self._reading = threading.Thread(
                    target=self._read, args=(loop,), daemon=True
                )
                self._reading.start()
            try:
                await asyncio.to_thread(self._process.ask, message)
            except DependencyError:
                raise self._unavailable(self.failure) from None

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hand each piece to the request that waits for it, until the process ends."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            with contextlib.suppress(DependencyError):
                while True:
                    loop.call_soon_threadsafe(self._hand_out, self._process.answer()[0])
            loop.call_soon_threadsafe(self._fail_all)
        self._process.close()

    def _hand_out(self, piece: Header) -> None:
        if (pieces := self._texts.get(piece["number"])) is not None:
            pieces.put_nowait(piece)

    def _fail_all(self) -> None:
        for pieces in self._texts.values():
            pieces.put_nowait({"failure": self.failure})

    def _unavailable(self, reason: str) -> HttpError:
        return unavailable(
            f"The {self._process.name} {reason}. Try again in a few seconds.", 5
        )

    def close(self) -> None:
        """End the process; texts that are being written end with it."""
        self._process.fail("was closed")
        if self._reading is None:
            self._process.close()
