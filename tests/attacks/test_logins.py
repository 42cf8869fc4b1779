"""Prefect and MLflow let nobody in who does not show the login, on any route."""

import asyncio
import contextlib
import socket
import sys
from functools import cache

import httpx
import pytest
from tests.attacks import routes
from tests.integration.conftest import inherited

from headrace.state.logins import Login
from headrace_ops import guard, live
from headrace_ops.gate import Gate

LOGIN = Login("headrace", "canary")
OURS = "127.0.0.1:4200"
CLOSED = {401, 403}


@cache
def all_routes():
    return [*routes.of_prefect(), *routes.of_mlflow()]


async def ask(gate, route, headers):
    """The status of an answer; 200 means that the application behind was reached."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "websocket" if route.method == "WS" else "http",
        "method": route.method,
        "path": route.path,
        "query_string": b"",
        "headers": [(k.lower().encode(), v.encode()) for k, v in headers.items()],
        "subprotocols": ["prefect"],
    }
    if route.method == "WS":
        del scope["method"]
    await gate(scope, receive, send)
    if sent[0]["type"] == "websocket.close":
        return 403  # what a server makes of it before the handshake
    return int(sent[0].get("status", 200))


def statuses(headers):
    async def behind(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    gate = Gate(behind, login=LOGIN, health=routes.HEALTH)

    async def all_of_them():
        return {route: await ask(gate, route, headers) for route in all_routes()}

    return asyncio.run(all_of_them())


def open_ones(found):
    return {f"{r.method} {r.path}" for r, status in found.items() if status == 200}


HEALTH = {f"GET {path}" for path in routes.HEALTH}
SHOWN = {"Authorization": LOGIN.header}


@pytest.mark.parametrize(
    ("headers", "is_open"),
    [
        ({"Host": OURS}, HEALTH),
        ({"Host": OURS, "Authorization": "Basic YWRtaW46cGFzc3dvcmQxMjM0"}, HEALTH),
        ({"Host": OURS, "Authorization": "Bearer canary"}, HEALTH),
        ({"Host": OURS, "Authorization": "Basic \u00ff\u00fe"}, HEALTH),
        ({"Host": OURS, "Cookie": "headrace=canary"}, HEALTH),
        ({"Host": "rebound.example:4200", **SHOWN}, set()),
        ({"Host": "127.0.0.1.evil.example:4200", **SHOWN}, set()),
        ({**SHOWN}, set()),
        ({"Host": OURS, "Origin": "http://evil.example", **SHOWN}, set()),
        ({"Host": OURS, "Origin": "http://127.0.0.1:9", **SHOWN}, set()),
        ({"Host": OURS, "Origin": "null", **SHOWN}, set()),
        ({"Host": OURS, "Sec-Fetch-Site": "cross-site", **SHOWN}, set()),
        ({"Host": OURS, "Sec-Fetch-Site": "same-site", **SHOWN}, set()),
    ],
    ids=lambda value: str(sorted(value)) if isinstance(value, set) else str(value),
)
def test_no_route_but_health_is_open(headers, is_open):
    found = statuses(headers)
    assert len(found) > 600
    assert open_ones(found) == is_open
    assert {status for status in found.values() if status != 200} <= CLOSED


def test_who_shows_the_login_is_let_in_everywhere():
    assert set(statuses({"Host": OURS, **SHOWN}).values()) == {200}


@contextlib.contextmanager
def running_prefect(home):
    """The port of a server of Prefect."""
    port = live.free_port()
    variables = {
        "PREFECT_SERVER_API_AUTH_STRING": LOGIN.text,
        "PREFECT_HOME": str(home),
        "PREFECT_UI_ENABLED": "0",
    }
    command = ["headrace_ops.prefect_server", str(port)]
    log = home / "server.log"
    server = guard.start(
        [sys.executable, "-Pm", *command], {**inherited(), **variables}, str(log)
    )
    url = f"http://127.0.0.1:{port}/api/health"
    try:
        live.wait_until(lambda: live.answers(url), server, "Prefect", log)
        yield port
    finally:
        guard.stop(server)


@pytest.mark.system
def test_endless_headers_are_not_kept(tmp_path):
    with running_prefect(tmp_path) as port:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.settimeout(60)
            with contextlib.suppress(OSError):  # it was closed
                connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
                for _ in range(64):
                    connection.sendall(b"x" * 2**20)
                pytest.fail("it takes 64 MB")
        shown = {**SHOWN, "X-Long": "x" * 70_000}
        link = f"http://127.0.0.1:{port}/api/admin/version"
        assert httpx.get(link, headers=shown).status_code in {400, 431}
