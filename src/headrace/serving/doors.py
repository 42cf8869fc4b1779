"""Who may use the server: the Host and Origin of a request, and its token.

The ``Host`` must be a name of this server, against DNS rebinding. The ``Origin`` must
be the server's own, against requests of other sites. On an address that others can
reach, a request needs a token, except for health.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from headrace.errors import UsageError
from headrace.serving.replies import HttpError
from headrace.state.hosts import is_own_host, is_own_page, is_visit

TOKEN_LENGTH = 32
_MOST_ACCEPTED = 64
_ONCE = frozenset((b"host", b"origin", b"authorization", b"content-length"))
_ONCE |= {b"content-type", b"x-request-id", b"inference-header-content-length"}


class Doors:
    """Checks the headers of requests.

    Args:
        hosts: names of the server, besides loopback addresses.
        token: that requests must have; empty: none.
    """

    def __init__(self, hosts: Iterable[str] = (), token: str = "") -> None:
        self._hosts = {name.lower() for name in (*hosts, "localhost")}
        self._digest = _digest(token.encode()) if token else b""
        self._accepted: set[bytes] = set()  # values of Host that were accepted

    def headers_of(self, pairs: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
        """The headers of a request by name; HttpError 400 for one that is there twice.

        Only those that must be there once are checked.
        """
        headers: dict[bytes, bytes] = {}
        for name, value in pairs:
            if name in headers and name in _ONCE:
                raise HttpError(400, f"The header {name.decode()} is there twice.")
            headers[name] = value
        return headers

    def check(
        self, method: str, headers: Mapping[bytes, bytes], *, needs_token: bool
    ) -> None:
        """Check a request.

        Raises:
            HttpError: 403 for a foreign host or origin, 401 without the token.
        """
        host = headers.get(b"host", b"")
        if host not in self._accepted:
            self._check_host(host)
        if b"origin" in headers or b"sec-fetch-site" in headers:
            _check_origin(method, headers, host)
        if needs_token and self._digest:
            self._check_token(headers.get(b"authorization", b""))

    def _check_host(self, host: bytes) -> None:
        if not host.isascii() or not is_own_host(host.decode(), self._hosts):
            raise HttpError(
                403,
                f"The Host header is {host[:100].decode('latin-1')!r}, which is not a "
                "name of this server.",
            )
        if len(self._accepted) < _MOST_ACCEPTED:
            self._accepted.add(host)

    def _check_token(self, header: bytes) -> None:
        scheme, _, token = header.partition(b" ")
        is_same = hmac.compare_digest(_digest(token.strip()), self._digest)
        if scheme.lower() != b"bearer" or not is_same:
            raise HttpError(
                401,
                "A token is needed: send the header Authorization: Bearer TOKEN.",
                [(b"www-authenticate", b'Bearer realm="Headrace"')],
            )


def _digest(token: bytes) -> bytes:
    """Digests have one length, so that comparing them reveals none."""
    return hashlib.sha256(token).digest()


def _check_origin(method: str, headers: Mapping[bytes, bytes], host: bytes) -> None:
    def text(name: bytes) -> str:
        return headers.get(name, b"").decode("latin-1")

    origin = text(b"origin").rstrip("/")
    visit = is_visit(method, text(b"sec-fetch-mode"), text(b"sec-fetch-dest"))
    site = text(b"sec-fetch-site")
    if not is_own_page(host.decode("latin-1"), origin, site, is_visit=visit):
        raise HttpError(
            403,
            f"The request is from a page of {origin[:100] or 'another site'}; only the "
            "server's own pages may use it.",
        )


def read_token(file: Path) -> str:
    """The token in a file that only its owner can read; root's also by its group.

    Raises:
        UsageError: it cannot be read, others could read it, or the token is short.
    """
    try:
        status = file.stat()
        token = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not ASCII"
        raise UsageError(
            f"The token file {file} cannot be read: {reason}.",
            "Make one: `(umask 077; openssl rand -hex 32 > token)`.",
        ) from None
    mode, forbidden = stat.S_IMODE(status.st_mode), stat.S_IRWXG | stat.S_IRWXO
    if status.st_uid == 0 != os.geteuid():
        # A secret of Kubernetes is root's, and the pod reads it by its group.
        forbidden &= ~stat.S_IRGRP
    if mode & forbidden:
        raise UsageError(
            f"The token file {file} has the mode {mode:04o}: others can read it.",
            f"Run `chmod 600 {file}`.",
        )
    if len(token) < TOKEN_LENGTH or not token.isprintable() or " " in token:
        raise UsageError(
            f"The token in {file} has {len(token)} characters; it needs at least "
            f"{TOKEN_LENGTH}, without blanks.",
            "Make one: `(umask 077; openssl rand -hex 32 > token)`.",
        )
    return token
