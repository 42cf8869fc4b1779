"""The files of the page to try a model, without a browser."""

import re
from importlib import resources

from tests.src.serving.conftest import Site

from headrace.serving.doors import Doors
from headrace.serving.pages import add_page

FILES = {
    file.name: file.read_text(encoding="utf-8")
    for file in (resources.files("headrace.serving") / "page").iterdir()
}
SITE = Site(doors=Doors(token="t" * 40))
add_page(SITE.app)
PATHS = {path for path in SITE.app.paths if path == "/" or path.startswith("/page/")}
XML = "http://www.w3.org/2000/svg"  # a name, which nothing loads


def test_every_file_that_the_page_names_is_served():
    named = {
        name
        for text in FILES.values()
        for name in re.findall(r"[\"'](?:/page|\.)/([\w.]+)[\"']", text)
    }
    expected = {
        "page.css",
        "page.js",
        "recorder.js",
        "wav.js",
        "prompt.js",
        "message.js",
        "why.js",
    }
    assert expected <= named
    assert named <= set(FILES)
    assert {f"/page/{name}" for name in FILES} | {"/"} == PATHS


def test_the_page_names_no_other_host():
    for name, text in FILES.items():
        assert re.findall(r"(?:https?:)?//[\w.]+\.\w+", text.replace(XML, "")) == [], (
            name
        )


def test_nothing_is_inline_that_the_policy_forbids():
    html = FILES["index.html"]
    assert "<style" not in html
    assert re.findall(r"\s(?:style|on\w+)=", html) == []
    assert re.findall(r"<script(?! type=\"module\" src=)", html) == []
    for name, text in FILES.items():
        assert "innerHTML" not in text, name


def test_the_page_and_its_parts_need_no_token_and_have_the_policy():
    for path in PATHS:
        reply = SITE.ask("GET", path)
        assert (reply.status, bool(reply.body)) == (200, True)
        assert "default-src 'none'" in reply.headers["content-security-policy"], path
