"""One file from the network into memory: whole and within limits, or not at all.

Knows no catalog and no digest: whoever asks checks what came.
"""

from __future__ import annotations

import importlib
import logging
import re
import ssl
import time
from typing import Any
from urllib.parse import urlsplit

from headrace.progress import Progress

SILENCE_SECONDS = 30.0
TOTAL_SECONDS = 1800.0
# Not packed for the way: what is counted is what is held in memory.
_HEADERS = {"User-Agent": "headrace", "Accept-Encoding": "identity"}
log = logging.getLogger("headrace")


class DownloadError(Exception):
    """Why nothing came, or what came is of no use; whoever asked says what to do."""


def _httpx() -> Any:
    """Imported by name: what comes is checked, so no stage depends on the version."""
    return importlib.import_module("httpx")


def check_redirect(answer: Any) -> None:
    """Let a redirect to https pass, and no other.

    Raises:
        DownloadError: it leads elsewhere.
        ValueError: it is no URL.
    """
    if answer.has_redirect_location:
        target = answer.headers["Location"]
        urlsplit(target)  # raises where httpx would look for a host named "["
        place = answer.request.url.join(target)
        if place.scheme != "https":
            raise DownloadError(
                f"it redirects to {place.scheme}://{place.host}, which is not https"
            )


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
    httpx = _httpx()
    log.info("%s: downloading %s", name, url)
    try:
        client = httpx.Client(
            headers=_HEADERS,
            timeout=SILENCE_SECONDS,
            follow_redirects=True,
            event_hooks={"response": [check_redirect]},
            verify=ssl.create_default_context(),  # this system's certificates
        )
        with client, client.stream("GET", url) as answer:
            if answer.status_code != 200:
                raise DownloadError(
                    f"the server answered {answer.status_code} {answer.reason_phrase}"
                )
            return _body(answer, limit_bytes, name)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, ImportError) as error:
        reason = re.sub(r"^\[Errno -?\d+\] ", "", str(error) or type(error).__name__)
        raise DownloadError(reason.splitlines()[0].rstrip(".")) from None


def _body(answer: Any, limit_bytes: int, name: str) -> bytes:
    httpx = _httpx()
    whole = int(answer.headers.get("Content-Length", 0))
    data = bytearray()
    started, blocks = time.monotonic(), answer.iter_raw()
    try:
        with Progress(name, whole or None, "bytes") as progress:
            while max(len(data), whole) <= limit_bytes:
                block = next(blocks, b"")
                if not block:
                    return bytes(data)
                data += block
                seconds = time.monotonic() - started
                if seconds > TOTAL_SECONDS:
                    raise DownloadError(
                        f"{len(data):,} bytes came in {TOTAL_SECONDS:.0f} s"
                    )
                progress.update(len(data))
    except httpx.RemoteProtocolError:
        seen = f": {len(data):,} of {whole:,} bytes" if whole else ""
        raise DownloadError(f"the reply was cut short{seen}") from None
    seen = f"{whole:,}" if whole else f"over {limit_bytes:,}"
    raise DownloadError(
        f"the reply is of {seen} bytes, and at most {limit_bytes:,} are taken"
    )
