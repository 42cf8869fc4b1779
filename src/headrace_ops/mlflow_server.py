"""MLflow's application behind the gate, which requires the login in the environment.

MLflow serves it as ``mlflow server --app-name headrace``, by the entry point.
"""

from __future__ import annotations

from pathlib import Path

from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from headrace.errors import UsageError
from headrace_ops import environment
from headrace_ops.gate import Gate

ASSISTANT = "/ajax-api/3.0/mlflow/assistant/"
_CHOICES = """
<style>[data-assistant-ui] { display: none !important }</style>
<script>
localStorage["mlflow.assistant.fab.autoOpenedOnFirstLoad_v1"] = "true";
localStorage["mlflow.assistant.panelOpen_v1"] = "false";
localStorage["mlflow.settings.telemetry.enabled_v1"] = "false";
localStorage["mlflow.telemetry.info.alert.dismissed_v1"] = "true";
localStorage["mlflow.workflowType_v1"] ??= '"machine_learning"';
</script>
"""


def create_app() -> Gate:
    """MLflow's application behind the gate.

    Raises:
        UsageError: there is no login.
    """
    login = environment.mlflow_login()
    if login is None:
        raise UsageError(
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD are not set.",
            "Start the server with `headrace up`.",
        )
    from mlflow.server import app as pages
    from mlflow.server.fastapi_app import app

    page = Path(str(pages.static_folder)) / "index.html"
    return Gate(with_choices(app, page), login=login, health=["/health"])


def with_choices(app: ASGIApp, page: Path) -> ASGIApp:
    """MLflow's application, which reports no usage and has no assistant.

    Its server has no switch for either, and the assistant can run commands here.

    Args:
        app: MLflow's application.
        page: the file of its start page.
    """
    html = page.read_text(encoding="utf-8").replace("<head>", f"<head>{_CHOICES}", 1)
    start = HTMLResponse(html, headers={"cache-control": "no-store"})
    nothing = Response("There is no assistant.", 404)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        answered = nothing if path.startswith(ASSISTANT) else app
        if path == "/" and scope["method"] == "GET":
            answered = start
        await answered(scope, receive, send)

    return answer
