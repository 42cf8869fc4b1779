"""MLflow's application behind the gate, which requires the login in the environment.

MLflow serves it as ``mlflow server --app-name headrace``, by the entry point.
"""

from __future__ import annotations

import os
from pathlib import Path

from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from headrace.state.logins import Login
from headrace_ops.gate import Gate

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
        KeyError: there is no login.
    """
    user, password = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
    login = Login(os.environ[user], os.environ[password])
    from mlflow.server import app as pages
    from mlflow.server.fastapi_app import app

    page = Path(str(pages.static_folder)) / "index.html"
    return Gate(with_choices(app, page), login=login, health=["/health"])


def with_choices(app: ASGIApp, page: Path) -> ASGIApp:
    """MLflow's application, whose page reports no usage and shows no assistant.

    Its server has no switch for either.

    Args:
        app: MLflow's application.
        page: the file of its start page.
    """
    html = page.read_text(encoding="utf-8").replace("<head>", f"<head>{_CHOICES}", 1)
    start = HTMLResponse(html, headers={"cache-control": "no-store"})

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        is_start = scope["type"] == "http" and scope["path"] == "/"
        is_start = is_start and scope["method"] == "GET"
        await (start if is_start else app)(scope, receive, send)

    return answer
