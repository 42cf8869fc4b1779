"""Headrace's own pages, behind the gate."""

import asyncio

import pytest

from headrace.settings import Settings
from headrace.state.folders import card_key
from headrace.state.home import Home
from headrace.state.store import Store
from headrace_ops import live
from headrace_ops.servers import pages

NAME = "0123456789abcdef-0123456789abcdef"


def get(settings, path, method="GET"):
    """The status and headers, and the body, of an answer."""
    sent = []

    async def send(message):
        sent.append(message)

    headers = [(b"host", b"localhost:4300")]
    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    scope |= {"scheme": "http", "query_string": b"", "server": ("127.0.0.1", 4300)}
    asyncio.run(pages(settings)(scope, None, send))
    return sent[0], sent[1]["body"]


@pytest.fixture
def settings(tmp_path):
    """A home with one page of checks, and the index."""
    settings = Settings(project=tmp_path, home=tmp_path / "home").prepare_home()
    store = Store(settings.store)
    store.write(f"data_docs/{NAME}/index.html", b"the page")
    store.write("data_docs/index.html", b"the index")
    store.write("secret.html", b"secret")
    return settings


def test_the_data_docs_and_their_index_are_served(settings):
    path = live.data_docs_path(f"/anywhere/data_docs/{NAME}/index.html")
    start, page = get(settings, path)
    headers = dict(start["headers"])

    assert (start["status"], page) == (200, b"the page")
    assert headers[b"content-type"].startswith(b"text/html")
    assert headers[b"content-security-policy"].startswith(b"default-src 'none'")
    assert get(settings, live.DATA_DOCS)[1] == b"the index"


@pytest.mark.parametrize(
    "path",
    [
        "/headrace/",
        "/data_docs/other/index.html",
        "/data_docs/../secret.html",
        "/data_docs/%2e%2e/secret.html",
        f"/data_docs/{NAME}/../../../secret.html",
        "/reports/..",
        f"/reports/{'0' * 32}",
    ],
)
def test_nothing_else_is_served(settings, path):
    start, body = get(settings, path)

    assert start["status"] == 404
    assert b"secret" not in body


def test_other_paths_and_methods_are_not_there(settings):
    assert get(settings, "/api/2.0/x")[0]["status"] == 404
    assert get(settings, live.DATA_DOCS, "POST")[0]["status"] == 405
    assert get(settings, "/", "POST")[0]["status"] == 405


def test_a_report_is_served_from_the_store(settings):
    run = "0" * 31 + "1"
    assert get(settings, live.report_path(run))[0]["status"] == 404
    Home(settings).store.write(card_key(run), b"the report")
    assert get(settings, live.report_path(run))[1] == b"the report"


def test_a_ledger_that_does_not_answer_is_told_as_text(settings, monkeypatch):
    monkeypatch.setenv("HEADRACE_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/x")
    elsewhere = Settings(project=settings.project, home=settings.home)
    start, body = get(elsewhere, "/")
    assert start["status"] == 503
    assert dict(start["headers"])[b"content-type"].startswith(b"text/plain")
    assert b"127.0.0.1" in body
