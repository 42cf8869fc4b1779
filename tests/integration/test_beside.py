"""Log and shadow beside a real server: what happens to them, nobody notices."""

import os
import re
import signal
import threading
from collections import Counter

import psutil
import pytest
from tests.homes import Home
from tests.integration.test_serve import PATH, PIXELS, RAW, Serving, until

from headrace.settings import Settings
from headrace.state.home import Home as OpenHome
from headrace.state.ledger import Ledger
from headrace.state.requests import Asked, read_requests

pytestmark = pytest.mark.integration

ENGINE = "engines.answering"


class Load:
    """Clients that ask all the time, until the block ends."""

    def __init__(self, server, clients=2):
        self._server, self._end = server, threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(n,)) for n in range(clients)
        ]
        self.versions = {}
        self.failures = []

    def _ask(self, number):
        connection = self._server.connect()
        count = 0
        while not self._end.is_set():
            count += 1
            name = f"c{number}-{count}"
            try:
                headers = {**RAW, "x-request-id": name}
                connection.request("POST", PATH, PIXELS, headers)
                reply = connection.getresponse()
                body = reply.read()
                if reply.status != 200:
                    self.failures.append((reply.status, body))
                self.versions[name] = reply.headers["x-model-version"]
            except OSError as error:
                self.failures.append(error)
                connection = self._server.connect()
        connection.close()

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def home(second, copy_of, tmp_path):
    """A home whose champion is version 1 of two."""
    home = Home(copy_of(second[0].path, tmp_path / "home"), second[0].project)
    ledger = Ledger(Settings(project=home.project, home=home.path).database_url)
    champion = ledger.champion("blobs")
    if champion is None or champion.version.version != 1:
        ledger.promote(
            "blobs",
            1,
            who="ada",
            why="a test",
            expected_sequence=ledger.sequence("blobs"),
            forced=True,
        )
    return home


@pytest.fixture
def start(home):
    """Starts servers of the champion, and ends them."""
    servers = []

    def begin(*arguments):
        servers.append(Serving(home, *arguments))
        return servers[-1]

    yield begin
    for server in servers:
        if server.process.poll() is None:
            code, err = server.end()
            assert code == 0, err
            assert "Traceback" not in err


def metrics(server):
    text = server.send("GET", "/metrics")[2].decode()
    lines = re.findall(r"^headrace_([^# ]+) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in lines}


def value(server, name, *parts):
    found = [
        number
        for full, number in metrics(server).items()
        if full.startswith(name) and all(part in full for part in parts)
    ]
    return sum(found)


def child(server, module):
    """The newest child of the server that runs a module."""

    def look():
        children = psutil.Process(server.process.pid).children()
        own = [c for c in children if any(module in word for word in c.cmdline())]
        return max(own, key=lambda c: c.create_time(), default=None)

    found = until(look)
    return found


def rows_of(server):
    tables = read_requests(Asked("blobs"), OpenHome(server.settings).store)
    return [row for table in tables for row in table.to_pylist()]


def test_each_request_is_in_the_log_once_the_server_has_ended(start):
    server = start("--log-inputs")
    with Load(server) as load:
        until(lambda: len(load.versions) > 300)
    code, err = server.end()
    assert (code, load.failures) == (0, []), err
    rows = rows_of(server)
    assert Counter(row["request_id"] for row in rows) == Counter(load.versions.keys())
    assert {row["role"] for row in rows} == {"champion"}
    assert {row["input"] for row in rows} == {PIXELS}
    assert len({row["item"] for row in rows}) == 1
    assert (server.settings.home / "store").stat().st_mode & 0o077 == 0


def test_a_killed_server_loses_what_it_had_not_written(start):
    server = start()
    with Load(server) as load:
        until(lambda: value(server, "log_rows_total", "written") > 0)
    written = value(server, "log_rows_total", "written")
    server.process.kill()
    server.process.wait()
    ids = [row["request_id"] for row in rows_of(server)]
    assert load.failures == []
    assert len(ids) == len(set(ids)) == written < len(load.versions)


def test_nobody_notices_that_the_shadow_is_killed_or_hangs(start):
    server = start("--shadow", "blobs/2")
    until(lambda: value(server, "shadow_up") == 1)
    with Load(server) as load:
        until(lambda: value(server, "shadow_rows_total", "answered") > 50)
        os.kill(child(server, ENGINE).pid, signal.SIGKILL)
        until(lambda: value(server, "shadow_restarts_total") == 1)
        hung = child(server, ENGINE)
        hung.suspend()
        until(lambda: value(server, "shadow_restarts_total") == 2)
        before = value(server, "shadow_rows_total", "answered")
        until(lambda: value(server, "shadow_rows_total", "answered") > before)
    assert load.failures == []
    assert set(load.versions.values()) == {"1"}
    assert 0 <= value(server, "shadow_agreement") <= 1
    assert server.end()[0] == 0
    rows = rows_of(server)
    roles = Counter((row["role"], row["version"]) for row in rows)
    assert set(roles) == {("champion", 1), ("shadow", 2)}
    own = {row["request_id"] for row in rows if row["role"] == "shadow"}
    assert own <= set(load.versions)


def test_the_server_ends_with_all_of_its_processes(start):
    server = start("--shadow", "blobs/2")
    until(lambda: value(server, "shadow_up") == 1)
    children = psutil.Process(server.process.pid).children(recursive=True)
    assert len(children) >= 1
    server.process.kill()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert alive == []
    assert server.process.wait() == -signal.SIGKILL
