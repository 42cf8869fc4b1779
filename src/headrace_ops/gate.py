"""The gate: an ASGI middleware that authenticates every request to an application.

It checks four things on every route. The headers must not be long. The ``Host``, or the
host of an absolute target, must be a loopback address, against DNS rebinding. The
``Origin`` must be the server's own, against cross-site requests. The login is sent by
``Authorization: Basic``, or by the session cookie that a link with the token sets. Only
the health paths need no login. The gate knows neither Prefect nor MLflow.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, cookie_parser
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.state.hosts import is_own_host, is_own_page, is_visit
from headrace.state.logins import Login

HEADER_BYTES = 64 * 2**10
# httptools, uvicorn's other parser, takes headers of any size.
UVICORN: dict[str, Any] = {
    "http": "h11",
    "h11_max_incomplete_event_size": HEADER_BYTES,
    "proxy_headers": False,
}
# Else Prefect's and MLflow's pages send telemetry.
_POLICY = "connect-src 'self' data: blob:; frame-ancestors 'self'"
_SAFE = {"GET", "HEAD"}
_ABSOLUTE = re.compile(r"[^/?#]*://([^/?#]*)")
_HINT = "Open the link that `headrace up` prints, or use the name and password in"
_HINT += " login.json in the home."


class Gate:
    """Passes authenticated requests on to an application.

    Args:
        app: the ASGI application behind it.
        login: which requests must have; the link and the cookie derive from it.
        health: paths that need no login.
    """

    def __init__(
        self, app: ASGIApp, *, login: Login, health: Iterable[str] = ()
    ) -> None:
        self._app = app
        self._login = login
        self._health = frozenset(health)
        self._session = login.derive("session")
        digest = hashlib.sha256(self._session.encode()).hexdigest()
        self._cookie = f"headrace-{digest[:12]}"
        pair = f"{self._cookie}={self._session}"
        self._set_cookie = f"{pair}; Path=/; HttpOnly; SameSite=Strict"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it on to the application."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        request = HTTPConnection(scope)
        try:
            _check_size(scope)
            _check_host_and_origin(request)
            if target := self._link_target(request):
                headers = {"cache-control": "no-store", "set-cookie": self._set_cookie}
                headers["referrer-policy"] = "no-referrer"
                await RedirectResponse(target, 303, headers)(scope, receive, send)
                return
            if not self._is_health(scope):
                self._check_login(request)
        except HTTPException as refused:
            await _refuse(refused, scope, receive, send)
            return
        # The page's WebSockets authenticate by the cookie.
        has_login = "authorization" in request.headers and _is_page(request)
        cookie = self._set_cookie if has_login else ""
        await self._app(scope, receive, _with_headers(send, cookie))

    def _is_health(self, scope: Scope) -> bool:
        is_read = scope["type"] == "http" and scope["method"] in _SAFE
        return is_read and scope["path"] in self._health

    def _link_target(self, request: HTTPConnection) -> str:
        """The target of a link with the token; empty if this is not such a link."""
        if (request.get("method"), request["path"]) != ("GET", "/login"):
            return ""
        token = request.query_params.get("token")
        if not token:
            return ""
        if not _same(token, self._login.derive("link")):
            raise HTTPException(403, f"This link is not valid (any more). {_HINT}")
        target = request.query_params.get("next", "/")
        is_local = target.startswith("/") and target[1:2] not in {"/", "\\"}
        return target if is_local and target.isprintable() else "/"

    def _check_login(self, request: HTTPConnection) -> None:
        login = _basic(request.headers.get("authorization", ""))
        if login is not None and _same(login.text, self._login.text):
            return
        cookies = cookie_parser("; ".join(request.headers.getlist("cookie")))
        session = cookies.get(self._cookie)
        if not (session and _same(session, self._session)):
            raise HTTPException(401, f"A login is needed. {_HINT}")


def _check_host_and_origin(request: HTTPConnection) -> None:
    headers = request.headers
    for name in ("host", "origin", "authorization"):
        if len(headers.getlist(name)) > 1:
            raise HTTPException(400, f"The header {name} is there twice.")
    target = _ABSOLUTE.match(request["path"])  # RFC 9112, 3.2.2: its host counts
    host = (target[1] if target else headers.get("host", "")).lower()
    if not is_own_host(host, ()):
        raise HTTPException(403, "The Host header is not a name of this server.")
    origin = headers.get("origin", "").rstrip("/").lower()
    site = headers.get("sec-fetch-site", "")
    if not is_own_page(host, origin, site, is_visit=_is_page(request)):
        raise HTTPException(403, "Pages of another origin may not use this server.")


def _check_size(scope: Scope) -> None:
    size = len(scope["path"]) + len(scope.get("query_string", b""))
    size += sum(len(name) + len(value) for name, value in scope["headers"])
    if size > HEADER_BYTES:
        limit = f"{HEADER_BYTES:,} bytes"
        raise HTTPException(431, f"The request's headers have more than {limit}.")


def _is_page(request: HTTPConnection) -> bool:
    """Whether a browser navigates to this page, perhaps by a link on another site."""
    headers = request.headers
    mode, destination = headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")
    return is_visit(request.get("method", ""), mode or "", destination or "")


def _basic(header: str) -> Login | None:
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return Login.parse(base64.b64decode(value.strip(), validate=True).decode())
    except ValueError:  # not base64, ASCII or UTF-8
        return None


def _same(value: str, expected: str) -> bool:
    return hmac.compare_digest(value.encode(), expected.encode())


def _with_headers(send: Send, cookie: str) -> Send:
    """Add security headers to the response; allow no response to every origin."""

    async def send_on(message: Message) -> None:
        if message["type"] == "http.response.start":
            message.setdefault("headers", [])
            headers = MutableHeaders(scope=message)
            if "*" in headers.getlist("access-control-allow-origin"):
                del headers["access-control-allow-origin"]
            headers.setdefault("x-frame-options", "SAMEORIGIN")
            headers.setdefault("content-security-policy", _POLICY)
            if cookie:
                headers.append("set-cookie", cookie)
        await send(message)

    return send_on


async def _refuse(
    refused: HTTPException, scope: Scope, receive: Receive, send: Send
) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})  # becomes a 403
        return
    body = {"exception_message": refused.detail, "message": refused.detail}
    headers = {"cache-control": "no-store"}
    if refused.status_code == 401:
        headers["www-authenticate"] = 'Basic realm="Headrace"'
    await JSONResponse(body, refused.status_code, headers)(scope, receive, send)
