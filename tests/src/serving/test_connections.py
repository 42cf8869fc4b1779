"""Connections: headers are bounded, whatever comes before them, and bodies in time."""

import asyncio

import pytest
import uvicorn
from uvicorn.server import ServerState

from headrace.serving.connections import HEADER_BYTES, HttpConnection
from headrace.serving.doors import Doors
from headrace.serving.replies import HttpError

GET = b"GET / HTTP/1.1\r\nhost: localhost\r\n"


async def _app(scope, receive, send):
    if scope["path"] == "/doors":
        try:
            headers = Doors().headers_of(scope["headers"])
            Doors().check(scope["method"], headers, needs_token=False)
        except HttpError as refusal:
            status = refusal.reply[0]
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


def statuses(*parts, count, later=0.0):
    """The statuses of the answers to what is sent in parts, by one connection.

    Args:
        later: seconds that pass for the server after the last part.
    """

    async def ask():
        config = uvicorn.Config(_app, http=HttpConnection, ws="none", lifespan="off")
        config.load()
        state = ServerState()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: HttpConnection(config=config, server_state=state, app_state={}),
            "127.0.0.1",
            0,
        )
        async with server:
            reader, writer = await asyncio.open_connection(
                *server.sockets[0].getsockname()
            )
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.02)
            for connection in state.connections if later else ():
                connection.end_slow(loop.time() + later)
            seen = b""
            async with asyncio.timeout(20):
                while seen.count(b"HTTP/1.1 ") < count and (
                    part := await reader.read(2**16)
                ):
                    seen += part
            writer.close()
        return [one[:3] for one in seen.split(b"HTTP/1.1 ")[1:]]

    return asyncio.run(ask())


def test_the_body_of_a_request_is_not_the_header_of_the_next_one():
    size = HEADER_BYTES + 40_000
    post = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % size
    last = bytes(size) + GET[:20]
    assert statuses(post, last, GET[20:] + b"\r\n", count=2) == [b"200", b"200"]


def test_headers_that_do_not_end_are_refused():
    line = b"x-a: " + b"a" * 8000 + b"\r\n"
    fewest = 1 + HEADER_BYTES // len(line)
    assert statuses(GET, *[line] * fewest, count=1) == [b"431"]
    assert statuses(GET + line * 12, count=1) == [b"431"]
    assert statuses(GET + line * 12 + b"\r\n", count=1) == [b"431"]


POST = b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (POST % b"/" + b"12345", [b"408"]),
        (POST % b"/", [b"408"]),
        (GET, [b"408"]),
        (POST % b"http://evil.com/doors" + b"12345", [b"403"]),  # it has its answer
        (POST % b"/" + b"123456789", [b"200"]),
    ],
)
def test_a_request_that_does_not_end_is_ended_after_ten_seconds(sent, expected):
    assert statuses(sent, count=1, later=11.0) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/doors", b"200"),
        (b"/doors?see=http://evil.com/", b"200"),
        (b"http://localhost:80/doors", b"200"),
        (b"http://evil.com/doors", b"403"),
        (b"HTTPS://evil.com/doors", b"403"),
        (b"http://localhost@evil.com/doors", b"403"),
    ],
)
def test_the_host_of_an_absolute_target_counts(target, expected):
    request = b"GET %s HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n" % target
    assert statuses(request, count=1) == [expected]
