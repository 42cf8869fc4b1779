"""Foreign hosts, foreign pages and requests without the token stay outside."""

import pytest
from tests.src.serving.conftest import IMAGE, Site, serving

from headrace.errors import UsageError
from headrace.serving.doors import Doors, read_token

TOKEN = "0123456789abcdef0123456789abcdef"


def status(headers, path="/models", **doors):
    site = Site(serving(IMAGE), doors=Doors(**doors))
    for _ in range(2):  # the second time from what is known
        reply = site.ask("GET", path, headers=headers)
    return reply.status


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost:8080", 200),
        ("127.0.0.1:8080", 200),
        ("127.9.9.9", 200),
        ("[::1]:8080", 200),
        ("Models.Example:80", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("192.0.2.1", 403),
        ("", 403),
        ("[::1", 403),
        ("exämple", 403),
        ("localhost@evil.example", 403),
    ],
)
def test_the_host_is_a_name_of_the_server(host, expected):
    assert status({"host": host}, hosts=["models.example"]) == expected


@pytest.mark.parametrize("path", ["/v2/models/x", "/v2/models/toy/versions/9/ready"])
def test_what_there_is_not_is_said_to_those_who_may_know(path):
    foreign = {"host": "evil.example"}
    assert status(foreign, path) == 403
    assert status({"host": "localhost"}, path, token=TOKEN) == 401
    own = {"host": "localhost", "authorization": f"Bearer {TOKEN}"}
    assert status(own, path, token=TOKEN) == 404


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"origin": "http://localhost:8080"}, 200),
        ({"origin": "https://LOCALHOST:8080/"}, 200),
        ({"origin": "http://localhost:9090"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://[::1"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        (
            {
                "sec-fetch-site": "cross-site",
                "sec-fetch-mode": "navigate",
                "sec-fetch-dest": "document",
            },
            200,
        ),
    ],
)
def test_only_the_servers_own_pages_use_it(headers, expected):
    assert status({"host": "localhost:8080", **headers}) == expected


def test_only_a_page_is_visited_from_another_site():
    visit = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    headers = {"host": "localhost", "sec-fetch-dest": "document", **visit}
    raw = {**headers, "content-type": "application/octet-stream"}
    site = Site(serving(IMAGE))
    assert site.ask("GET", "/models", headers=headers).status == 200
    assert site.ask("POST", "/models/toy/predict", bytes(16), raw).status == 403


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer  {TOKEN}", 200),
        (f"Bearer {TOKEN}x", 401),
        (f"Basic {TOKEN}", 401),
        ("Bearer", 401),
        ("", 401),
    ],
)
def test_a_request_needs_the_token(header, expected):
    assert status({"authorization": header}, token=TOKEN) == expected


def test_health_needs_no_token():
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert status({}, path, token=TOKEN) == 200
    for path in ("/metrics", "/openapi.json", "/v2", "/v2/models/toy"):
        assert status({}, path, token=TOKEN) == 401


def test_a_header_that_is_there_twice_is_refused():
    site = Site(serving(IMAGE))
    for name in (b"host", b"content-type", b"authorization", b"origin"):
        pairs = [(b"host", b"localhost"), (name, b"a"), (name, b"b")]
        reply = site.ask("GET", "/models", headers=pairs)
        assert reply.status == 400 and name.decode() in reply.json["error"]
    pairs = [(b"host", b"localhost"), (b"accept", b"a"), (b"accept", b"b")]
    assert site.ask("GET", "/models", headers=pairs).status == 200


def test_the_token_is_read_from_a_private_file(tmp_path):
    file = tmp_path / "token"
    with pytest.raises(UsageError, match="cannot be read"):
        read_token(file)
    file.write_text(TOKEN + "\n")
    file.chmod(0o640)
    with pytest.raises(UsageError, match="0640: others can read it"):
        read_token(file)
    file.chmod(0o600)
    assert read_token(file) == TOKEN
    file.write_text(TOKEN[:31])
    with pytest.raises(UsageError, match="31 characters"):
        read_token(file)
    file.write_text(f"{TOKEN} {TOKEN}")
    with pytest.raises(UsageError, match="without blanks"):
        read_token(file)
