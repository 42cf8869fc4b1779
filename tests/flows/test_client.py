"""A client that is new when the server is being started again waits for it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest
from prefect.client.base import PrefectHttpxAsyncClient, PrefectHttpxSyncClient

from headrace_flows.client import retrying_clients

SECONDS_AWAY = 0.5


class Late(HTTPServer):
    """A server at a port of its own, at which nobody listens before it is activated."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Healthy, bind_and_activate=False)
        self.server_bind()
        self.url = f"http://127.0.0.1:{self.server_port}/health"


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"true")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that does not listen."""
    with Late() as server:
        yield server.url


@pytest.fixture
def url() -> Iterator[str]:
    """The address of a server that listens a moment later."""
    with Late() as server:

        def serve() -> None:
            time.sleep(SECONDS_AWAY)
            server.server_activate()
            server.serve_forever()

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.url
        server.shutdown()
        thread.join()


def ask(url: str) -> httpx.Response:
    with PrefectHttpxSyncClient() as client:
        return client.get(url)


def ask_async(url: str) -> httpx.Response:
    async def get() -> httpx.Response:
        async with PrefectHttpxAsyncClient() as client:
            return await client.get(url)

    return asyncio.run(get())


ASKING = pytest.mark.parametrize("get", [ask, ask_async])


@ASKING
def test_within_it_waits(url: str, get: Callable[[str], httpx.Response]) -> None:
    with retrying_clients():
        assert get(url).text == "true"


def test_a_client_made_within_it_is_of_use_afterwards(url: str) -> None:
    with retrying_clients():
        client = PrefectHttpxSyncClient()
        assert client.get(url).text == "true"
    assert client.get(url).text == "true"
    client.close()


@ASKING
def test_outside_it_is_told_at_once(
    silent: str, get: Callable[[str], httpx.Response]
) -> None:
    with retrying_clients():
        pass
    with pytest.raises(httpx.ConnectError):
        get(silent)
