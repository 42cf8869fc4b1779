"""Serves Headrace's own pages next to MLflow's, behind the same login.

They are the Data Docs in the store and the reports of runs, which are artifacts. A page
loads no other resource and runs no script.
"""

from __future__ import annotations

import asyncio
import re

from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from headrace.errors import HeadraceError
from headrace.pages import POLICY
from headrace.settings import Settings
from headrace.state.store import Store
from headrace.state.tracking import Tracking
from headrace.use.reporting import REPORT
from headrace_ops.pages import DATA_DOCS, PREFIX

_DATA_DOCS = re.compile(DATA_DOCS + r"((?:[\w-]+/)?)(?:index\.html)?")
_REPORT = re.compile(PREFIX + r"reports/([0-9a-f]{32})")
_HEADERS = {
    "content-security-policy": f"{POLICY}; frame-ancestors 'self'",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


class Pages:
    """An ASGI middleware that serves Headrace's pages."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on to the application."""
        path = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        page = None
        if scope["method"] == "GET":
            page = await asyncio.to_thread(self.find, path)
        body, status = (page, 200) if page else (b"There is no such page.", 404)
        await HTMLResponse(body, status, _HEADERS)(scope, receive, send)

    def find(self, path: str) -> bytes | None:
        """The page at a path; None if there is none."""
        try:
            if docs := _DATA_DOCS.fullmatch(path):
                store = Store(self._settings.store)
                return store.read(f"data_docs/{docs[1]}index.html")
            if report := _REPORT.fullmatch(path):
                return Tracking(self._settings).run_file(report[1], REPORT)
        except (HeadraceError, OSError):
            return None
        return None
