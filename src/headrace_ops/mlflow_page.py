"""MLflow's page, with what a browser is told before it starts.

MLflow remembers in the browser which columns and charts an experiment shows, whether
its assistant has opened itself, and whether usage is collected. None of it can be
chosen by the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from pathlib import Path

from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from headrace.errors import HeadraceError
from headrace.settings import Settings
from headrace.state.home import Home
from headrace_ops import live

ASSISTANT = "/ajax-api/3.0/mlflow/assistant/"
_HEADERS = {"x-content-type-options": "nosniff", "cache-control": "no-store"}
_CHOICES = {
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
    "mlflow.assistant.panelOpen_v1": "false",
    "mlflow.settings.telemetry.enabled_v1": "false",
    "mlflow.telemetry.info.alert.dismissed_v1": "true",
}
# A view is set once, so that what people change in it stays.
_SCRIPT = """
<style>[data-assistant-ui] { display: none !important }</style>
<script>
for (const [name, value] of Object.entries(%s)) localStorage.setItem(name, value);
localStorage["mlflow.workflowType_v1"] ??= '"machine_learning"';
for (const [id, view] of Object.entries(%s)) {
  const scope = `MLflowLocalStorage-1.1-ExperimentPage-["${id}"]`;
  if (localStorage.getItem(`headrace.view.${id}`) === view) continue;
  localStorage.setItem(`${scope}-ReactComponentState`, view);
  localStorage.setItem(`headrace.view.${id}`, view);
}
</script>
"""


def start_page(page: str, views: Mapping[str, str]) -> str:
    """MLflow's page, which chooses before it starts.

    Args:
        page: as MLflow has it.
        views: by the id of an experiment, the view that it opens with.
    """
    script = _SCRIPT % (_as_script(_CHOICES), _as_script(views))
    return page.replace("<head>", f"<head>{script}", 1)


def _as_script(values: Mapping[str, str]) -> str:
    """JSON that cannot end the script that it is in."""
    return json.dumps(values).replace("<", "\\u003c")


class WithViews:
    """An ASGI middleware: MLflow's page with the views of experiments, no assistant.

    Args:
        app: MLflow's application.
        page: the file of its start page.
        settings: of the home whose experiments these are.
    """

    def __init__(self, app: ASGIApp, page: Path, settings: Settings) -> None:
        self._app = app
        self._page = page
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on to the application."""
        path = scope.get("path", "")
        is_read = scope["type"] == "http" and scope["method"] == "GET"
        answer: ASGIApp = self._app
        if scope["type"] == "http" and path.startswith(ASSISTANT):
            answer = Response("There is no assistant.", 404, _HEADERS)
        elif is_read and path in {"/", live.RUNS}:
            answer = await asyncio.to_thread(self._answer, path)
        await answer(scope, receive, send)

    def _answer(self, path: str) -> Response:
        if path == live.RUNS:
            return RedirectResponse(self._newest(), 303, _HEADERS)
        page = start_page(self._page.read_text(encoding="utf-8"), self._views())
        return HTMLResponse(page, headers=_HEADERS)

    def _views(self) -> dict[str, str]:
        with contextlib.suppress(HeadraceError):
            return Home(self._settings).tracking.views()
        return {}

    def _newest(self) -> str:
        with contextlib.suppress(HeadraceError):
            if number := Home(self._settings).tracking.newest_experiment():
                return f"/#/experiments/{number}/runs?workflowType=machine_learning"
        return "/"
