"""The server of Headrace's own pages, behind the gate.

At its root is one page over everything. The Data Docs and the reports of runs are in
the store. A page loads no other resource. As a module with a port, this is the server
of ``headrace up``.
"""

from __future__ import annotations

import contextlib
import re
import sys
from functools import partial

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from headrace.display.pages import script
from headrace.errors import HeadraceError
from headrace.settings import Settings
from headrace.state.folders import card_key
from headrace.state.home import Home
from headrace.state.logins import ensure_login
from headrace_ops import live
from headrace_ops.gate import UVICORN, Gate
from headrace_ops.overview import SCRIPT, overview

HEALTH = "/health"
_DATA_DOCS = re.compile(live.DATA_DOCS + r"((?:[\w-]+/)?)(?:index\.html)?")
_REPORT = re.compile(r"/reports/([0-9a-f]{32})")


def find(settings: Settings, path: str) -> bytes | None:
    """The page at a path of the URL; None if there is none.

    Raises:
        DependencyError: the ledger does not answer.
    """
    if path == HEALTH:
        return b"ok"
    if path == "/":
        return overview(settings, is_served=True).encode()
    home = Home(settings)
    with contextlib.suppress(HeadraceError, OSError):
        if docs := _DATA_DOCS.fullmatch(path):
            return home.store.read(f"data_docs/{docs[1]}index.html")
        if report := _REPORT.fullmatch(path):
            return home.store.find(card_key(report[1]))
    return None


def _answer(settings: Settings, request: Request) -> Response:
    try:
        page = find(settings, request.url.path)
    except HeadraceError as error:
        return PlainTextResponse(str(error), 503, _headers())
    if page:
        return HTMLResponse(page, headers=_headers())
    return PlainTextResponse("There is no such page.", 404, _headers())


def _headers() -> dict[str, str]:
    return {
        "content-security-policy": f"{script(SCRIPT)[1]}; frame-ancestors 'self'",
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
    }


def application(settings: Settings) -> ASGIApp:
    """The pages behind the gate, which asks for the login of the home."""
    login = ensure_login(settings.home)
    return Gate(pages(settings), login=login, health=[HEALTH])


def pages(settings: Settings) -> Starlette:
    """The application without the gate."""
    return Starlette(routes=[Route("/{path:path}", partial(_answer, settings))])


def main() -> None:
    """Serve the pages at the port of the argument."""
    import uvicorn

    uvicorn.run(
        application(Settings()),
        port=int(sys.argv[1]),
        lifespan="off",
        log_level="warning",
        access_log=False,  # it would contain the token of the link
        **UVICORN,
    )


if __name__ == "__main__":
    main()
