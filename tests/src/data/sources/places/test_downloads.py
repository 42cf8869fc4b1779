"""What comes from the network is taken whole and within limits, or not at all."""

import logging

import httpx
import pytest
from tests.src.data.sources.conftest import (
    GOOD,
    Reply,
    entry,
    failure,
    kept,
    opened,
    pin,
    sha,
)

from headrace.data.sources.places import downloads
from headrace.data.sources.places.downloads import DownloadError, check_redirect
from headrace.display import progress
from headrace.errors import DependencyError


@pytest.mark.parametrize(
    ("reply", "seen"),
    [
        (Reply(b"ham\tno!\n"), f"what came has sha256: .*, not {sha(GOOD)}"),
        (Reply(b"ham", headers={"Content-Length": "8"}), "cut short: 3 of 8 bytes"),
        (Reply(GOOD * 200), "reply has 1,600 bytes; the limit is 1,000"),
        (
            Reply(GOOD * 200, headers={"Content-Length": ""}),
            "reply has over 1,000 bytes; the limit is 1,000",
        ),
        (Reply(b"", 404), "the server answered 404 Not Found"),
        (Reply(b"", 503), "the server answered 503"),
        (
            Reply(b"", 302, {"Location": "http://example.org:81/b"}),
            "redirects to http://example.org, which is not https",
        ),
        (
            Reply(b"", 302, {"Location": "file:///etc/passwd"}),
            "redirects to file://, which is not https",
        ),
        (Reply(b"", 302, {"Location": "https://["}), "Invalid IPv6 URL"),
    ],
)
def test_what_is_not_the_file_is_not_kept(server, settings, reply, seen):
    server.replies["/a"] = reply
    one = entry({"a.tsv": pin(GOOD, f"{server.url}/a")})
    with pytest.raises(DependencyError, match=f"downloading http.*/a failed: .*{seen}"):
        opened(one, settings)
    assert kept(settings) == []


def test_a_reply_in_pieces_that_is_cut_short(server, settings):
    chunked = {"Content-Length": "", "Transfer-Encoding": "chunked"}
    # The server speaks HTTP/1.0, and the client reads pieces all the same.
    url = server.give("/a", b"8\r\n" + GOOD + b"\r\n4\r\nab", headers=chunked)
    assert "the reply was cut short" in failure(entry({"a": pin(GOOD, url)}), settings)
    server.give("/a", b"8\r\n" + GOOD + b"\r\n0\r\n\r\n", headers=chunked)
    assert opened(entry({"a": pin(GOOD, url)}), settings)[1].read() == GOOD


def test_only_a_redirect_to_https_is_followed():
    request = httpx.Request("GET", "http://example.org/a")
    for target in ("https://example.org/b", "//example.org/b"):
        headers = {"Location": target}
        secure = httpx.Request("GET", "https://example.org/a")
        check_redirect(httpx.Response(302, headers=headers, request=secure))
    for target in ("ftp://example.org/b", "//example.org/b"):
        answer = httpx.Response(302, headers={"Location": target}, request=request)
        with pytest.raises(DownloadError, match=r"redirects to (ftp|http)://example.o"):
            check_redirect(answer)


def test_silence_and_slowness_end_a_download(server, settings, monkeypatch):
    one = entry({"a": pin(GOOD, server.give("/a", GOOD, delay=0.5))})
    monkeypatch.setattr(downloads, "SILENCE_SECONDS", 0.05)
    assert "failed: timed out" in failure(one, settings)
    monkeypatch.setattr(downloads, "SILENCE_SECONDS", 30)
    monkeypatch.setattr(downloads, "TOTAL_SECONDS", 0)
    server.give("/a", GOOD)
    assert "8 bytes came in 0 s" in failure(one, settings)


def test_a_download_tells_how_far_it_is(server, settings, monkeypatch, caplog):
    one = entry({"a.tsv": pin(GOOD, server.give("/a", GOOD))})
    monkeypatch.setattr(progress, "SECONDS_BETWEEN", 0)
    with caplog.at_level(logging.INFO, "headrace"):
        opened(one, settings)
    assert f"catalog:letters: downloading {server.url}/a" in caplog.messages
    assert "catalog:letters: 8 of 8 bytes" in caplog.messages
