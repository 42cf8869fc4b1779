"""The gate: what it lets through, and how it answers what it does not."""

import asyncio

import httpx
import pytest

from headrace.state.logins import Login
from headrace_ops.gate import Gate

LOGIN = Login("headrace", "canary")
BASE = "http://127.0.0.1:4200"


async def behind(scope, _receive, send):
    headers = [(b"access-control-allow-origin", b"*"), (b"x-path", b"behind")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


def gate(**changes):
    return Gate(behind, **{"login": LOGIN, "health": ("/health",), **changes})


ELSEWHERE = ("10.0.0.9", 5)  # another machine: whose process it is cannot be asked


def ask(gate, path, method="GET", base=BASE, client=ELSEWHERE, **headers):
    async def answer():
        transport = httpx.ASGITransport(app=gate, client=client)
        async with httpx.AsyncClient(transport=transport, base_url=base) as asking:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            return await asking.request(method, path, headers=given)

    return asyncio.run(answer())


def cookie_of(made):
    answer = ask(made, f"/login?token={LOGIN.derive('link')}")
    return answer.headers["set-cookie"].partition(";")[0]


def test_the_link_sets_a_cookie_that_no_script_reads_and_leads_on():
    token = LOGIN.derive("link")
    answer = ask(gate(), f"/login?token={token}&next=/runs")
    assert (answer.status_code, answer.headers["location"]) == (303, "/runs")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert LOGIN.password not in cookie
    assert token not in cookie
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert ask(gate(), "/x", cookie=cookie_of(gate())).status_code == 200


@pytest.mark.parametrize(
    "target", ["//evil.example", "/\\evil.example", "https://evil.example", "", "/\r\n"]
)
def test_the_link_leads_nowhere_else(target):
    path = httpx.URL("/login", params={"token": LOGIN.derive("link"), "next": target})
    assert ask(gate(), str(path)).headers["location"] == "/"


@pytest.mark.parametrize("token", ["x", LOGIN.password, LOGIN.derive("session"), "é"])
def test_another_token_opens_nothing(token):
    answer = ask(gate(), str(httpx.URL("/login", params={"token": token})))
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
    assert "headrace up" in answer.json()["message"]


def test_a_link_of_another_site_may_lead_to_a_page_and_to_nothing_else():
    shown = {"authorization": LOGIN.header, "sec_fetch_site": "cross-site"}
    page = {"sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert ask(gate(), "/x", **shown, **page).status_code == 200
    assert ask(gate(), "/x", "POST", **shown, **page).status_code == 403
    frame = {**page, "sec_fetch_dest": "iframe"}
    assert ask(gate(), "/x", **shown, **frame).status_code == 403
    image = {"sec_fetch_mode": "no-cors", "sec_fetch_dest": "image"}
    assert ask(gate(), "/x", **shown, **image).status_code == 403


def test_an_origin_that_is_no_url_is_refused():
    answer = ask(gate(), "/x", authorization=LOGIN.header, origin="http://[::1")
    assert answer.status_code == 403


def test_a_browser_that_showed_the_password_gets_the_cookie_for_what_cannot():
    page = {"sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    answer = ask(gate(), "/x", authorization=LOGIN.header, **page)
    assert "headrace-" in answer.headers["set-cookie"]
    assert "set-cookie" not in ask(gate(), "/x", authorization=LOGIN.header).headers


def test_who_is_not_let_in_is_asked_and_told_where_the_login_is():
    answer = ask(gate(), "/x")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert "login.json" in answer.json()["message"]
    assert "x-path" not in answer.headers


def test_no_answer_is_meant_for_every_origin_or_for_a_foreign_frame():
    answer = ask(gate(), "/x", authorization=LOGIN.header, origin=BASE)
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"
    policy = answer.headers["content-security-policy"]
    assert policy == "connect-src 'self' data: blob:; frame-ancestors 'self'"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:4200", 200),
        ("localhost:8080", 200),
        ("[::1]:4200", 200),
        ("127.9.9.9", 200),
        ("ml.example.org", 403),
        ("LOCALHOST:443", 200),
        ("localhost.evil.example", 403),
        ("evil.example", 403),
        ("10.0.0.3:4200", 403),
        ("0.0.0.0:4200", 403),
        ("localhost@evil.example", 403),
        ("evil.example@127.0.0.1", 403),
        ("evil.example:80@localhost:4200", 403),
        ("127.0.0.1:x", 403),
        ("127.0.0.1/evil.example", 403),
        ("[::ffff:127.0.0.1]:4200", 200),
        ("[::1", 403),
        ("", 403),
    ],
)
def test_only_names_of_the_server_are_answered(host, status):
    for path in ("/x", "/health"):
        answer = ask(gate(), path, host=host, authorization=LOGIN.header)
        assert answer.status_code == status


@pytest.mark.parametrize("path", ["/healthy", "/x/health", "/health/", "//health"])
def test_what_resembles_health_is_not_open(path):
    assert ask(gate(), "/health").status_code == 200
    assert ask(gate(), "/health", "POST").status_code == 401
    assert ask(gate(), path, base=f"{BASE}/").status_code == 401


@pytest.mark.parametrize("name", ["host", "origin", "authorization"])
def test_a_header_that_decides_is_there_once(name):
    sent = []

    async def send(message):
        sent.append(message)

    values = {"host": "127.0.0.1", "authorization": LOGIN.header, "origin": BASE}
    headers = [(k.encode(), v.encode()) for k, v in values.items()]
    headers.append((name.encode(), b"evil.example"))
    scope = {"type": "http", "method": "GET", "path": "/x", "headers": headers}
    scope |= {"query_string": b""}
    asyncio.run(gate()(scope, _nothing, send))
    assert sent[0]["status"] == 400


def test_long_headers_are_not_compared_with_the_login():
    login = {"authorization": LOGIN.header}
    assert ask(gate(), "/x", **login, x_long="x" * 70_000).status_code == 431
    assert ask(gate(), "/health", x_long="x" * 70_000).status_code == 431
    long = "x" * 40_000
    assert ask(gate(), f"/x?{long}", **login).status_code == 200
    assert ask(gate(), f"/x?{long}", **login, x_long=long).status_code == 431
    assert ask(gate(), f"/{long}", **login, x_long=long).status_code == 431


async def _nothing():
    return {"type": "http.disconnect"}


@pytest.mark.parametrize(
    "header",
    ["", "Basic", "Basic ?", "Basic /w==", "Bearer canary", "basic", "Digest x"],
)
def test_an_odd_authorization_is_none(header):
    assert ask(gate(), "/x", authorization=header).status_code == 401


def test_what_is_no_request_is_handed_on():
    seen = []

    async def app(scope, *_):
        seen.append(scope["type"])

    made = Gate(app, login=LOGIN)
    asyncio.run(made({"type": "lifespan"}, _nothing, None))
    assert seen == ["lifespan"]


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/x?see=http://evil.example/", 200),
        ("http://localhost:4200/x", 200),
        ("http://evil.example/x", 403),
        ("HTTPS://evil.example/x", 403),
        ("http://localhost@evil.example/x", 403),
    ],
)
def test_the_host_of_an_absolute_target_counts(target, status):
    path = target.partition("?")[0]
    headers = [(b"host", b"127.0.0.1"), (b"authorization", LOGIN.header.encode())]
    scope = {"type": "http", "method": "GET", "path": path, "headers": headers}
    scope |= {"raw_path": path.encode(), "query_string": b"", "client": ELSEWHERE}
    seen = []

    async def send(message):
        if message["type"] == "http.response.start":
            seen.append(message["status"])

    async def receive():
        return {"type": "http.request"}

    asyncio.run(gate()({**scope, "scheme": "http"}, receive, send))
    assert seen == [status]
