"""One file from the network into memory: whole and within limits, or not at all.

Knows no catalog and no digest: whoever asks checks what came.
"""

from __future__ import annotations

import http.client
import logging
import time
import urllib.error
import urllib.request
from typing import IO, Any
from urllib.parse import urlsplit

SILENCE_SECONDS = 30.0
TOTAL_SECONDS = 1800.0
_NEWS_SECONDS = 5.0
_READ_AT_ONCE = 2**18
_HANDLERS = (
    urllib.request.ProxyHandler,
    urllib.request.HTTPHandler,
    urllib.request.HTTPSHandler,
    urllib.request.HTTPDefaultErrorHandler,
    urllib.request.HTTPErrorProcessor,
    urllib.request.UnknownHandler,
)
log = logging.getLogger("headrace")


class DownloadError(Exception):
    """Why nothing came, or what came is of no use; whoever asked says what to do."""


class HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https, and no others."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """The request for the new place.

        Raises:
            DownloadError: it is not reached by https.
        """
        place = urlsplit(newurl)
        if place.scheme != "https":
            raise DownloadError(
                f"it redirects to {place.scheme}://{place.hostname}, which is not https"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch(url: str, limit_bytes: int, name: str) -> bytes:
    """What a URL gives.

    Args:
        url: of http or https.
        limit_bytes: the most that is taken.
        name: of what is fetched, for the log.

    Raises:
        DownloadError: it cannot be reached, or what comes is too large, too slow or
            cut short.
    """
    opener = urllib.request.OpenerDirector()
    for handler in (*_HANDLERS, HttpsOnly):
        opener.add_handler(handler())
    opener.addheaders = [("User-Agent", "headrace")]
    log.info("%s: downloading %s", name, url)
    try:
        with opener.open(url, timeout=SILENCE_SECONDS) as answer:
            return _body(answer, limit_bytes, name)
    except http.client.IncompleteRead:
        raise DownloadError("the reply was cut short") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise DownloadError(_reason(error)) from None


def _body(answer: Any, limit_bytes: int, name: str) -> bytes:
    whole: int | None = answer.length
    data = bytearray()
    started = told = time.monotonic()
    while len(data) <= limit_bytes and (whole is None or whole <= limit_bytes):
        block = answer.read1(_READ_AT_ONCE)
        data += block
        now = time.monotonic()
        if not block:
            break
        if now - started > TOTAL_SECONDS:
            raise DownloadError(f"{len(data):,} bytes came in {TOTAL_SECONDS:.0f} s")
        if now - told >= _NEWS_SECONDS:
            of = f" of {whole:,}" if whole else ""
            log.info("%s: %s%s bytes", name, f"{len(data):,}", of)
            told = now
    else:
        seen = f"{whole:,}" if whole else f"over {limit_bytes:,}"
        raise DownloadError(
            f"the reply is of {seen} bytes, and at most {limit_bytes:,} are taken"
        )
    if whole is not None and len(data) != whole:
        raise DownloadError(
            f"the reply was cut short: {len(data):,} of {whole:,} bytes"
        )
    return bytes(data)


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        return f"the server answered {error.code} {error.reason}"
    cause = getattr(error, "reason", error)
    said = str(getattr(cause, "strerror", None) or cause or type(cause).__name__)
    return said.splitlines()[0].rstrip(".")
