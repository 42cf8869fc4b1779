"""Prefect and MLflow let nobody in who does not show the login, on any route."""

import asyncio
import contextlib
import os
import socket
import sys
import tempfile
from functools import cache
from itertools import product
from pathlib import Path

import httpx
import psutil
import pytest
from tests.attacks import routes, stranger
from tests.integration.conftest import down, inherited, up

from headrace.settings import Settings
from headrace.state import hosts
from headrace.state.logins import LOGIN_FILE, Login, read_login
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

    gate = Gate(behind, logins=[LOGIN], health=routes.HEALTH)

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


@pytest.fixture(scope="module")
def services(project, tmp_path_factory):
    """A home with its servers and workers."""
    started = up(tmp_path_factory.mktemp("doors") / "home", project)
    yield started
    down(started)


def pairs(found):
    return [(route.method, route.path) for route in found]


@pytest.mark.integration
@pytest.mark.parametrize("name", ["prefect", "mlflow"])
def test_a_second_user_gets_in_nowhere(services, name):
    wanted = pairs(getattr(routes, f"of_{name}")())
    server = services.links[name]
    found = stranger.as_stranger(stranger.statuses, server, wanted)
    assert found.keys() == set(wanted)
    got_in = {route: status for route, status in found.items() if status not in CLOSED}
    assert {path for _, path in got_in} <= routes.HEALTH, got_in
    foreign = {"Host": "evil.example", **services.authorization}
    found = stranger.as_stranger(stranger.statuses, server, wanted, foreign)
    assert set(found.values()) <= CLOSED
    page = {"prefect": ("GET", "/api/admin/version"), "mlflow": ("GET", "/version")}
    ours = stranger.statuses(server, [page[name]], services.authorization)
    assert set(ours.values()) == {200}, "the login opens it"


@pytest.mark.integration
def test_a_second_user_finds_the_login_nowhere(services):
    secret = services.environment["MLFLOW_TRACKING_PASSWORD"]
    path = services.home / LOGIN_FILE
    assert path.stat().st_mode & 0o777 == 0o600
    assert secret in path.read_text()
    assert stranger.as_stranger(stranger.opened, [str(path)]) == []
    for process in psutil.Process(services.process.pid).children(recursive=True):
        assert secret not in " ".join(process.cmdline())
        environment = f"/proc/{process.pid}/environ"
        assert stranger.as_stranger(stranger.opened, [environment]) == []
    for log in services.home.rglob("*.log"):
        assert secret not in log.read_text(errors="replace")


@pytest.mark.integration
@pytest.mark.parametrize("name", ["prefect", "mlflow"])
def test_a_second_user_does_not_get_in_with_our_cookie(services, name):
    login = read_login(services.home)
    assert login is not None
    with httpx.Client(timeout=60) as client:
        answer = client.get(login.link(services.links[name]))
        assert answer.status_code == 303
    cookie = answer.headers["set-cookie"].partition(";")[0]
    page = [{"prefect": ("GET", "/api/admin/version"), "mlflow": ("GET", "/version")}]
    wanted = [page[0][name]]
    for forged in ({}, {"X-Forwarded-For": "10.0.0.9"}):
        shown = {"Cookie": cookie, **forged}
        server = services.links[name]
        ours = stranger.statuses(server, wanted, shown)
        assert set(ours.values()) == {200}
        found = stranger.as_stranger(stranger.statuses, server, wanted, shown)
        assert set(found.values()) == {401}


@contextlib.contextmanager
def prefect_at(host, home):
    """The port of a server of Prefect that listens at an address."""
    port = live.free_port(host=host)
    variables = {
        "PREFECT_SERVER_API_AUTH_STRING": LOGIN.text,
        "PREFECT_HOME": str(home),
        "PREFECT_UI_ENABLED": "0",
    }
    command = ["headrace_ops.prefect_server", host, str(port)]
    log = home / "server.log"
    server = guard.start(
        [sys.executable, "-Pm", *command], {**inherited(), **variables}, str(log)
    )
    url = f"http://{hosts.local_host(host)}:{port}/api/health"
    try:
        live.wait_until(lambda: live.answers(url), server, "Prefect", log)
        yield port
    finally:
        guard.stop(server)


def hang_up(host, port, cookie):
    """Request a new tag, and do not wait for the answer."""
    body = b'{"name": "theirs"}'
    lines = ["POST /api/tags/ HTTP/1.1", f"Host: localhost:{port}", f"Cookie: {cookie}"]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}", "", ""]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as connection:  # he cannot read what names need
        connection.connect((host, port))
        connection.sendall("\r\n".join(lines).encode() + body)


@pytest.mark.integration
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::"])
def test_our_cookie_is_of_no_use_to_a_second_user_at_any_address(host, tmp_path):
    """Nor with what a proxy would send, nor for what needs no answer."""
    page = [("GET", "/api/admin/version")]
    interfaces = psutil.net_if_addrs().values()
    every = [a.address for each in interfaces for a in each if "." in a.address]
    places = {"127.0.0.1": ["127.0.0.1"], "0.0.0.0": every, "::": ["[::1]"]}[host]
    with prefect_at(host, tmp_path) as port:
        link = f"http://{places[0]}:{port}"
        with httpx.Client(base_url=link, timeout=60) as client:
            cookie = client.get(LOGIN.link("")).headers["set-cookie"].partition(";")[0]
        for place, forged in product(places, ({}, {"X-Forwarded-For": "10.0.0.9"})):
            given = f"http://{place}:{port}", page, {"Cookie": cookie, **forged}
            assert set(stranger.statuses(*given).values()) == {200}
            found = stranger.as_stranger(stranger.statuses, *given)
            assert set(found.values()) == {401}, place
        for place in places:
            for _ in range(5):
                stranger.as_stranger(hang_up, place.strip("[]"), port, cookie)
        tag = [("GET", "/api/tags/name/theirs")]
        ours = stranger.statuses(link, tag, SHOWN)
        assert set(ours.values()) == {404}


@pytest.mark.integration
def test_endless_headers_are_not_kept(tmp_path):
    with prefect_at("127.0.0.1", tmp_path) as port:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.settimeout(60)
            with contextlib.suppress(OSError):  # it was closed
                connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
                for _ in range(64):
                    connection.sendall(b"x" * 2**20)
                pytest.fail("it takes 64 MB")
        shown = {**SHOWN, "X-Long": "x" * 70_000}
        page = [("GET", "/api/admin/version")]
        link = f"http://127.0.0.1:{port}"
        assert set(stranger.statuses(link, page, shown).values()) <= {400, 431}


@pytest.mark.integration
def test_artifacts_are_written_below_the_home_alone(services, tmp_path):
    url, headers = services.links["mlflow"], services.authorization
    proxy = f"{url}/api/2.0/mlflow-artifacts/artifacts"
    below = services.home / "mlartifacts"
    with httpx.Client(headers=headers, timeout=60) as client:
        answer = client.put(f"{proxy}/a/b.txt", content=b"canary")
        assert answer.status_code == 200, answer.text
        assert (below / "a" / "b.txt").read_bytes() == b"canary"
        for path in (
            "..%2f..%2fout",
            "a/..%2f..%2f..%2fout",
            "%2e%2e/out",
            "%2ftmp%2fout",
        ):
            client.put(f"{proxy}/{path}", content=b"canary")
        api = f"{url}/ajax-api/2.0/mlflow"
        for key in ("artifact_location", "artifactLocation"):
            body = {"name": key, key: tmp_path.as_uri()}
            answer = client.post(f"{api}/experiments/create", json=body)
            assert answer.status_code == 400, answer.text
            assert "artifact_location must be below" in answer.text
        made = client.post(f"{api}/experiments/create", json={"name": "good"}).json()
        run = client.post(f"{api}/runs/create", json=made).json()["run"]["info"]
        for path in ("x.txt", "../../../../x.txt"):
            place = {"run_uuid": run["run_id"], "path": path}
            page = f"{api}/upload-artifact"
            client.post(page, params=place, content=b"canary")
    written = {
        path
        for folder in (services.home, services.project, tmp_path)
        for path in folder.rglob("*")
        if path.is_file()
        and path.stat().st_size == 6
        and b"canary" in path.read_bytes()
    }
    assert len(written) >= 2
    assert not [path for path in written if not path.is_relative_to(below)]
    assert not list(services.home.parent.glob("out"))


def test_a_second_user_gets_nothing_of_a_runs_temporary_server(tmp_path):
    from headrace_ops.run_server import TemporaryServer, configure

    before = dict(os.environ)
    settings = Settings(project=tmp_path, home=tmp_path / "home")
    os.environ.pop("PREFECT_API_AUTH_STRING", None)
    os.environ.pop("PREFECT_CLIENT_CUSTOM_HEADERS", None)
    try:
        configure(settings)
        server = TemporaryServer(settings)
        try:
            server.wait()
            login = Login.parse(os.environ["PREFECT_API_AUTH_STRING"])
            shown = {"Authorization": login.header}
            link = server.api_url.removesuffix("/api")
            wanted = pairs(routes.of_prefect())
            found = stranger.as_stranger(stranger.statuses, link, wanted)
            got_in = {path for (_, path), s in found.items() if s not in CLOSED}
            assert got_in <= routes.HEALTH
            page = [("GET", "/api/admin/version")]
            assert set(stranger.statuses(link, page, shown).values()) == {200}
            foreign = {**shown, "Origin": "http://evil.example"}
            assert set(stranger.statuses(link, page, foreign).values()) == {403}
        finally:
            server.stop()
        assert "PREFECT_API_AUTH_STRING" not in os.environ, "it ends with the run"
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.mark.integration
def test_a_second_user_reaches_no_postgresql(project, tmp_path_factory):
    with tempfile.TemporaryDirectory(
        prefix="headrace-", ignore_cleanup_errors=True
    ) as place:
        os.chmod(place, 0o755)
        started = up(Path(place) / "home", project, "--postgres", "--no-workers")
        try:
            settings = Settings(project=project, home=started.home)
            sockets = f"{settings.postgres_socket}/.s.PGSQL.5432"
            assert Path(sockets).is_socket()
            assert stranger.opened([sockets]) == [sockets]
            places = [sockets, settings.postgres_socket, f"{started.home}/postgres"]
            assert stranger.as_stranger(stranger.opened, places) == []
            processes = psutil.Process(started.process.pid).children(recursive=True)
            ports = {
                connection.laddr.port
                for process in processes
                for connection in process.net_connections("tcp")
                if connection.status == psutil.CONN_LISTEN
                and process.name() == "postgres"
            }
            assert ports == set()
        finally:
            down(started)
