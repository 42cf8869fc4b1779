"""Private parts of Prefect are still what is made of them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest
from prefect.client.base import PrefectHttpxAsyncClient, PrefectHttpxSyncClient

from headrace_ops.prefect_inside import retrying_clients

SECONDS_AWAY = 0.5


class Late(HTTPServer):
    """A server at a port of its own, at which nobody listens before it is activated."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Healthy, bind_and_activate=False)
        self.server_bind()
        self.url = f"http://127.0.0.1:{self.server_port}/health"


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"true")

    def log_message(self, *_):
        pass


@pytest.fixture
def silent():
    """The address of a server that does not listen."""
    with Late() as server:
        yield server.url


@pytest.fixture
def url():
    """The address of a server that listens a moment later."""
    with Late() as server:

        def serve():
            time.sleep(SECONDS_AWAY)
            server.server_activate()
            server.serve_forever()

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.url
        server.shutdown()
        thread.join()


def ask(url):
    with PrefectHttpxSyncClient() as client:
        return client.get(url)


def ask_async(url):
    async def get():
        async with PrefectHttpxAsyncClient() as client:
            return await client.get(url)

    return asyncio.run(get())


ASKING = pytest.mark.parametrize("get", [ask, ask_async])


@ASKING
def test_within_it_a_new_client_waits_for_a_server(
    url: str, get: Callable[[str], httpx.Response]
) -> None:
    with retrying_clients():
        assert get(url).text == "true"


def test_a_client_made_within_it_is_of_use_afterwards(url):
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


STUCK = """
import asyncio, contextlib, threading
from prefect.logging.handlers import APILogWorker
from headrace_ops import prefect_inside

logged = threading.Event()

class Stuck(APILogWorker):
    async def _handle_batch(self, items):
        logged.set()
        await asyncio.sleep(600)

    @contextlib.asynccontextmanager
    async def _lifespan(self):
        yield

Stuck.instance().send({"message": "x" * 2_000_000})
assert logged.wait(60)
prefect_inside.DRAIN_SECONDS = 0.1
prefect_inside.drain()
"""


@pytest.mark.system
def test_a_process_ends_although_its_logs_cannot_be_sent():
    subprocess.run([sys.executable, "-c", STUCK], check=True, timeout=120)
