"""Downloads one file into memory, complete and within limits, or fails.

The caller checks the content.
"""

from __future__ import annotations

import importlib
import logging
import re
import ssl
import time
from typing import Any
from urllib.parse import urlsplit

from headrace.display.progress import Progress

SILENCE_SECONDS = 30.0
TOTAL_SECONDS = 1800.0
# Without compression, so that the limit applies to what is in memory.
_HEADERS = {"User-Agent": "headrace", "Accept-Encoding": "identity"}
log = logging.getLogger("headrace")


class DownloadError(Exception):
    """Why a download failed, or is not the file; the caller says what to do."""


def _httpx() -> Any:
    """Imported by name: downloads are checked, so no stage depends on the version."""
    return importlib.import_module("httpx")


def check_redirect(answer: Any) -> None:
    """Refuse redirects, except to https.

    Raises:
        DownloadError: it leads elsewhere.
        ValueError: it is no URL.
    """
    if answer.has_redirect_location:
        target = answer.headers["Location"]
        urlsplit(target)  # raises where httpx would look for a host named "["
        url = answer.request.url.join(target)
        if url.scheme != "https":
            redirect = f"it redirects to {url.scheme}://{url.host}"
            raise DownloadError(f"{redirect}, which is not https")


def fetch(url: str, limit_bytes: int, name: str) -> bytes:
    """Download a URL; ``name`` is for the log.

    Raises:
        DownloadError: it cannot be reached, or the reply is too large, too slow or cut
            short.
    """
    httpx = _httpx()
    log.info("%s: downloading %s", name, url)
    try:
        client = httpx.Client(
            headers=_HEADERS,
            timeout=SILENCE_SECONDS,
            follow_redirects=True,
            event_hooks={"response": [check_redirect]},
            verify=ssl.create_default_context(),  # the system's certificates
        )
        with client, client.stream("GET", url) as answer:
            if answer.status_code != 200:
                status = f"{answer.status_code} {answer.reason_phrase}"
                raise DownloadError(f"the server answered {status}")
            return _body(answer, limit_bytes, name)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, ImportError) as error:
        reason = re.sub(r"^\[Errno -?\d+\] ", "", str(error) or type(error).__name__)
        raise DownloadError(reason.splitlines()[0].rstrip(".")) from None


def _body(answer: Any, limit_bytes: int, name: str) -> bytes:
    httpx = _httpx()
    length = int(answer.headers.get("Content-Length", 0))
    data = bytearray()
    started, blocks = time.monotonic(), answer.iter_raw()
    try:
        with Progress(name, length or None, "bytes") as progress:
            while max(len(data), length) <= limit_bytes:
                block = next(blocks, b"")
                if not block:
                    return bytes(data)
                data += block
                if time.monotonic() - started > TOTAL_SECONDS:
                    seconds = f"{TOTAL_SECONDS:.0f} s"
                    raise DownloadError(f"{len(data):,} bytes came in {seconds}")
                progress.update(len(data))
    except httpx.RemoteProtocolError:
        received = f": {len(data):,} of {length:,} bytes" if length else ""
        raise DownloadError(f"the reply was cut short{received}") from None
    size = f"{length:,}" if length else f"over {limit_bytes:,}"
    raise DownloadError(f"the reply has {size} bytes; the limit is {limit_bytes:,}")
