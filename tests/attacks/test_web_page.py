"""A page of the web in the browser of somebody who is logged in: it gets nothing."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.attacks import routes
from tests.attacks.chromium import chromium
from tests.integration.conftest import down, up

from headrace.state.logins import read_login

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

CLOSED = {401, 403}
NAMES = "MAP evil.example 127.0.0.1, MAP rebound.example 127.0.0.1"
# Asks for everything, each way a page can, and says what it could read.
ATTACK = """
(async () => {
  const read = [];
  const plain = {mode: 'no-cors', credentials: 'include'};
  for (const [method, path] of %s) {
    const url = %s + path;
    if (method === 'WS') {
      const open = await new Promise(done => {
        const socket = new WebSocket(url.replace('http', 'ws'), 'prefect');
        socket.onopen = () => done(true);
        socket.onerror = () => done(false);
      });
      if (open) read.push(['WS', path]);
      continue;
    }
    const body = method === 'GET' ? undefined : '{"name": "evil"}';
    try {
      const answer = await fetch(url, {method, body, credentials: 'include'});
      read.push([method, path, answer.status]);
    } catch (error) {}
    if (['GET', 'POST'].includes(method)) {
      try { await fetch(url, {method, body, ...plain}); } catch (error) {}
    }
  }
  return read;
})()
"""
FORM = """
(() => {
  const form = document.createElement('form');
  form.method = 'POST'; form.action = %s; form.enctype = 'text/plain';
  const field = document.createElement('input');
  field.name = '{"name": "evil", "x": "'; field.value = '"}';
  form.append(field); document.body.append(form); form.submit();
})()
"""


class Page(BaseHTTPRequestHandler):
    """The attacker's own page; it keeps the cookies that browsers send it."""

    cookies: list[str]

    def do_GET(self):
        self.cookies.append(self.headers.get("Cookie", ""))
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>evil</title><body>")

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def page():
    """The port of the attacker's page."""
    handler = type("Handler", (Page,), {"cookies": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def services(project, tmp_path_factory):
    """A home with its servers."""
    home = tmp_path_factory.mktemp("web") / "home"
    started = up(home, project, "--no-workers")
    yield started
    down(started)


@pytest.fixture(scope="module")
def browser(services, tmp_path_factory):
    """A browser that has opened both pages through their links."""
    profile = tmp_path_factory.mktemp("browser")
    with chromium(profile, f"--host-resolver-rules={NAMES}") as started:
        login = read_login(services.home)
        assert login is not None
        for name, title in (("prefect", "Prefect"), ("mlflow", "MLflow")):
            started.open(login.link(services.links[name]))
            started.until(f"document.title.includes('{title}')")
        yield started


def test_the_links_open_both_pages_and_what_they_need(services, browser):
    prefect = services.links["prefect"]
    browser.open(prefect)
    assert "token" not in browser.run("location.href")
    assert browser.run("fetch('/api/admin/version').then(a => a.status)") == 200
    made = browser.run(
        "fetch('/api/flows/filter', {method: 'POST', body: '{}', headers: "
        "{'Content-Type': 'application/json'}}).then(a => a.status)"
    )
    assert made == 200
    opened = browser.run(
        "new Promise(done => { const socket = new WebSocket('ws://' + location.host + "
        "'/api/events/out', 'prefect'); socket.onopen = () => done(true); "
        "socket.onerror = () => done(false); })"
    )
    assert opened is True
    browser.open(services.links["mlflow"])
    search = "/ajax-api/2.0/mlflow/experiments/search?max_results=1"
    assert browser.run(f"fetch('{search}').then(a => a.status)") == 200
    assert "headrace" not in browser.run("document.cookie"), "no script can read it"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost"])
@pytest.mark.parametrize("name", ["prefect", "mlflow"])
def test_a_page_of_another_origin_reads_and_changes_nothing(
    services, browser, page, host, name
):
    server = services.links[name]
    wanted = [[r.method, r.path] for r in getattr(routes, f"of_{name}")()]
    browser.open(f"http://{host}:{page}/")
    browser.statuses()
    read = browser.run(ATTACK % (json.dumps(wanted), json.dumps(server)))
    assert read == []
    seen = [(url, s) for url, s in browser.statuses() if url.startswith(server)]
    assert len({url for url, _ in seen}) > 100
    assert {status for _, status in seen} <= CLOSED
    if name == "prefect":
        browser.run(FORM % json.dumps(f"{server}/api/flows/"))
        browser.until(f"location.href !== 'http://{host}:{page}/'")
        assert (f"{server}/api/flows/", 403) in browser.statuses()


@pytest.mark.parametrize("name", ["prefect", "mlflow"])
def test_a_name_that_leads_here_by_rebinding_opens_nothing(services, browser, name):
    port = services.links[name].rpartition(":")[2]
    place = f"http://rebound.example:{port}"
    browser.open(f"{place}/")
    browser.statuses()
    wanted = [[r.method, r.path] for r in getattr(routes, f"of_{name}")()]
    read = browser.run(ATTACK % (json.dumps(wanted), json.dumps(place)))
    assert {status for *_, status in read} == {403}
    seen = browser.statuses()
    assert {status for _, status in seen} == {403}


def test_without_the_link_a_page_asks_for_the_login(services, tmp_path):
    with chromium(tmp_path / "browser") as stranger:
        for name in ("prefect", "mlflow"):
            stranger.call("Page.navigate", url=services.links[name])
            stranger.until("true")
            statuses = [s for u, s in stranger.statuses() if services.links[name] in u]
            assert set(statuses) <= {401}, statuses
