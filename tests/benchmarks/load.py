"""Asks a server over HTTP/1.1, and prints what came of it as JSON.

Usage: ``python load.py OPTIONS``, one JSON object, see `Load`. A closed loop measures
the capacity. An open loop asks at a rate, whatever the server does, and an answer is
timed from the moment at which it was due to be asked, so that waiting counts.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import uvloop

from headrace.serving.server import take_short_turns


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked.

    Attributes:
        port: of a server on loopback.
        path: that is posted to.
        body: a file.
        type: of the body.
        connections: of a closed loop; an open one takes as many as it needs.
        rate: requests a second; 0: a closed loop.
        seconds: how long.
        core: on which this runs; -1: any.
    """

    port: int
    path: str
    body: str
    type: str
    connections: int = 4
    rate: float = 0.0
    seconds: float = 10.0
    core: int = -1

    def request(self) -> bytes:
        """The bytes of a request."""
        body = Path(self.body).read_bytes()
        head = f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
        head += f"Content-Type: {self.type}\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body


@dataclass(slots=True)
class Seen:
    """The answers: their delay in seconds, and how many had each status."""

    delays: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)


class Connection(asyncio.Protocol):
    """One connection, which asks again when it is told to."""

    def __init__(self, load: Asking) -> None:
        self._load = load
        self._due = 0.0
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    @property
    def is_closing(self) -> bool:
        """Whether nothing can be asked any more."""
        return self._transport.is_closing()

    def ask(self, due: float) -> None:
        """Send a request that was due at a time."""
        self._due = due
        self._transport.write(self._load.request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Take a part of the answer."""
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        lines = head.lower().split(b"\r\n")
        length = next(x for x in lines if x.startswith(b"content-length:"))
        if len(body) >= int(length[15:]):
            self._buffer = b""
            self._load.answered(self, lines[0][9:12].decode(), self._due)

    def connection_lost(self, error: Exception | None) -> None:
        """Count an answer that did not come."""
        if self._due:
            self._load.lost(self)


class Asking:
    """The asking of one load."""

    def __init__(self, load: Load) -> None:
        self.load, self.request = load, load.request()
        self.seen, self._idle = Seen(), list[Connection]()
        self._is_over = False

    async def run(self) -> Seen:
        """Ask for as long as the load says."""
        for _ in range(self.load.connections):
            self._idle.append(await self._connect())
        await (self._open() if self.load.rate else self._closed())
        return self.seen

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        made = await loop.create_connection(
            lambda: Connection(self), "127.0.0.1", self.load.port
        )
        return made[1]

    async def _closed(self) -> None:
        for connection in self._idle:
            connection.ask(time.perf_counter())
        await asyncio.sleep(self.load.seconds)
        self._is_over = True

    async def _open(self) -> None:
        begun, count = time.perf_counter(), int(self.load.rate * self.load.seconds)
        for number in range(count):
            due = begun + number / self.load.rate
            if (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            free = self._idle.pop() if self._idle else await self._connect()
            while free.is_closing:  # the server has ended it, as it was idle for long
                free = self._idle.pop() if self._idle else await self._connect()
            free.ask(due)
        for _ in range(1000):
            if self.seen.statuses.total() >= count:
                break
            await asyncio.sleep(0.01)

    def answered(self, connection: Connection, status: str, due: float) -> None:
        """Count an answer, and go on."""
        now = time.perf_counter()
        self.seen.delays.append(now - due)
        self.seen.statuses[status] += 1
        if self.load.rate:
            self._idle.append(connection)
        elif not self._is_over:
            connection.ask(now)

    def lost(self, connection: Connection) -> None:
        """Count a connection that the server ended."""
        if connection in self._idle:
            self._idle.remove(connection)
        elif not self._is_over:
            self.seen.statuses["lost"] += 1


def main() -> None:
    """Ask, and print what came of it."""
    load = Load(**json.loads(sys.argv[1]))
    if load.core >= 0:
        os.sched_setaffinity(0, {load.core})
    take_short_turns()  # it measures the server, and not its own waiting
    started = time.perf_counter()
    seen = uvloop.run(Asking(load).run())
    seconds = time.perf_counter() - started
    answer = {
        "statuses": dict(seen.statuses),
        "rate": seen.statuses.total() / seconds,
        "ms": {
            f"p{p:g}": float(np.percentile(seen.delays, p)) * 1000
            for p in (50, 90, 99, 99.9)
        },
    }
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
