"""MLflow's server behind the gate.

The module takes the arguments of ``mlflow``. A monkeypatch makes MLflow serve
``create_app``, its own application behind the gate, which requires the login in the
environment.
"""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from headrace.errors import UsageError
from headrace_ops import environment
from headrace_ops.gate import HEADER_BYTES, Gate

_APP = "headrace_ops.mlflow_server:create_app"
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
OTHER_SERVERS = ("MLFLOW_GUNICORN_OPTS", "MLFLOW_WAITRESS_OPTS")


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


def main() -> None:
    """Run ``mlflow`` with the arguments of this process."""
    for name in OTHER_SERVERS:  # they would bypass the gate
        os.environ.pop(name, None)
    import mlflow.server

    build: Callable[..., list[str]] = mlflow.server._build_uvicorn_command

    def build_gated(opts: Any, host: str, *rest: Any, **_: Any) -> list[str]:
        port, workers = rest[:2]
        # As gate.UVICORN; the last of two options counts.
        opts = f"{opts or ''} --http h11 --no-proxy-headers"
        opts += f" --h11-max-incomplete-event-size {HEADER_BYTES}"
        return build(opts, host, port, workers, _APP, is_factory=True)

    setattr(mlflow.server, "_build_uvicorn_command", build_gated)  # noqa: B010
    sys.argv[0] = "mlflow"
    runpy.run_module("mlflow", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
