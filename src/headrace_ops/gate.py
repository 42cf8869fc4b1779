"""The gate before a server: nobody is let in who does not show the login.

An ASGI application around another one. It asks for three things, whatever the route:
a ``Host`` that is a name of this server, so that a foreign name that leads here opens
nothing; no ``Origin`` but the server's own or a listed one; and the login, by
``Authorization: Basic`` or by the cookie that a link with the token sets, which is good
for this user's own browser only. Health alone is answered without a login. Knows
neither Prefect nor MLflow.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import json
from collections.abc import Callable, Iterable, Sequence
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from headrace.state.logins import Login
from headrace_ops.asgi import (
    App,
    Message,
    Receive,
    Refused,
    Send,
    answer,
    headers_of,
    with_headers,
)
from headrace_ops.peers import Address, is_ours

_SAFE = {"GET", "HEAD"}
_HINT = "The link that `headrace up` prints opens this page; login.json in the home has"
_HINT += " the name and the password."


class Gate:
    """Lets requests through to an application.

    Args:
        app: the ASGI application behind it.
        logins: each is let in; the first one makes the link and the cookie.
        hosts: names by which the server is reached, besides loopback addresses.
        origins: of pages elsewhere that may ask, as browsers write them.
        health: paths that anyone may GET.
        is_user: whether another name and password are let in too, for an application
            that has users of its own.
    """

    def __init__(
        self,
        app: App,
        *,
        logins: Sequence[Login],
        hosts: Iterable[str] = (),
        origins: Iterable[str] = (),
        health: Iterable[str] = (),
        is_user: Callable[[Login], bool] | None = None,
    ) -> None:
        self._app = app
        self._logins = tuple(logins)
        self._hosts = {name.lower() for name in (*hosts, "localhost")}
        self._origins = {origin.rstrip("/").lower() for origin in origins} - {"*"}
        self._health = frozenset(health)
        # Prefect's and MLflow's pages would report to their makers.
        places = " ".join(["'self' data: blob:", *sorted(self._origins)])
        self._policy = f"connect-src {places}; frame-ancestors 'self'".encode()
        self._is_user = is_user
        self._cookie = ""
        if self._logins:
            session = self._logins[0].derive("session")
            name = hashlib.sha256(session.encode()).hexdigest()[:12]
            self._cookie = f"headrace-{name}={session}"

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it to the application."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        try:
            headers = headers_of(scope)
            self._check_place(scope, headers)
            target = self._link_target(scope)
            if target:
                await answer(send, 303, b"", self._session(target))
                return
            if not (self._is_health(scope) or self._is_preflight(scope, headers)):
                await self._check_login(scope, headers)
        except Refused as refused:
            await _refuse(scope, send, refused)
            return
        extra = [(b"content-security-policy", self._policy)]
        # A browser that was asked for the password is not asked again by a WebSocket.
        if self._cookie and "authorization" in headers and _is_page(scope, headers):
            extra += self._session()
        await self._app(scope, receive, with_headers(send, extra))

    def _check_place(self, scope: Message, headers: dict[str, str]) -> None:
        """Refuse names that are not this server's, and pages that are not."""
        host = headers.get("host", "").lower()
        if not self._is_our_host(host):
            raise Refused(403, "This server has another name.")
        origin = headers.get("origin", "").rstrip("/").lower()
        if origin in self._origins:
            return
        if origin and urlsplit(origin).netloc != host:
            raise Refused(403, "A page of another origin may not ask here.")
        site = headers.get("sec-fetch-site", "same-origin")
        if site in {"same-origin", "none"} or _is_page(scope, headers):
            return
        raise Refused(403, "A page of another origin may not ask here.")

    def _is_our_host(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self._hosts:
            return True
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False

    def _is_health(self, scope: Message) -> bool:
        is_read = scope["type"] == "http" and scope["method"] in _SAFE
        return is_read and scope["path"] in self._health

    def _is_preflight(self, scope: Message, headers: dict[str, str]) -> bool:
        """Whether a listed page elsewhere asks what it may send, as browsers do."""
        is_listed = headers.get("origin", "").rstrip("/").lower() in self._origins
        asks = "access-control-request-method" in headers
        return is_listed and asks and scope.get("method") == "OPTIONS"

    def _link_target(self, scope: Message) -> str:
        """Where the link with the token leads; empty: this is not that link."""
        if scope["type"] != "http" or (scope["method"], scope["path"]) != (
            "GET",
            "/login",
        ):
            return ""
        query = parse_qs(scope["query_string"].decode("latin-1"))
        (token,) = query.get("token", [""])[:1]
        if not token or not self._logins:
            return ""
        if not _same(token, self._logins[0].derive("link")):
            raise Refused(403, f"This link is not, or no longer, valid. {_HINT}")
        (target,) = query.get("next", ["/"])[:1]
        is_here = target.startswith("/") and target[1:2] not in {"/", "\\"}
        return target if is_here and target.isprintable() else "/"

    def _session(self, target: str = "") -> list[tuple[bytes, bytes]]:
        cookie = f"{self._cookie}; Path=/; HttpOnly; SameSite=Strict"
        made = [(b"set-cookie", cookie.encode())]
        if target:
            made += [(b"location", target.encode()), (b"cache-control", b"no-store")]
            made += [(b"referrer-policy", b"no-referrer")]
        return made

    async def _check_login(self, scope: Message, headers: dict[str, str]) -> None:
        name, _, session = self._cookie.partition("=")
        if name:
            try:
                morsel = SimpleCookie(headers.get("cookie", "")).get(name)
            except CookieError:
                morsel = None
            if morsel is not None and _same(morsel.value, session):
                if is_ours(_address(scope, "client"), _address(scope, "server")):
                    return
        shown = _basic(headers.get("authorization", ""))
        if shown is not None:
            if any([_same(shown.text, login.text) for login in self._logins]):
                return
            is_user = self._is_user
            if is_user is not None and await asyncio.to_thread(is_user, shown):
                return
        raise Refused(401, f"A login is needed. {_HINT}")


def _address(scope: Message, end: str) -> Address | None:
    found = scope.get(end)
    return (str(found[0]), int(found[1] or 0)) if found else None


def _is_page(scope: Message, headers: dict[str, str]) -> bool:
    """Whether a browser opens this as a page, which a link elsewhere may lead to."""
    return (
        scope["type"] == "http"
        and scope["method"] == "GET"
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )


def _basic(header: str) -> Login | None:
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return Login.parse(base64.b64decode(value.strip(), validate=True).decode())
    except ValueError:  # no base64, no ASCII or no UTF-8
        return None


def _same(shown: str, right: str) -> bool:
    return hmac.compare_digest(shown.encode(), right.encode())


async def _refuse(scope: Message, send: Send, refused: Refused) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})  # before it is open: 403
        return
    body = {"exception_message": str(refused), "message": str(refused)}
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    if refused.status == 401:
        headers.append((b"www-authenticate", b'Basic realm="Headrace"'))
    await answer(send, refused.status, json.dumps(body).encode(), headers)
