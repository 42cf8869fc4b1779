"""MLflow's server behind the gate, with Headrace's own pages.

The module takes the arguments of ``mlflow``. A monkeypatch makes MLflow serve
``create_app``, its own application behind the gate. The gate requires the login in the
environment, or one of MLflow's users if MLflow's access control is configured.

Headrace's pages are the Data Docs in the store and the reports of runs, which are
artifacts. A page loads no other resource and runs no script. MLflow's own page opens
with the views of the experiments, and without MLflow's assistant.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import re
import runpy
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from headrace.errors import HeadraceError, UsageError
from headrace.pages import POLICY
from headrace.settings import Settings, variable
from headrace.state import hosts
from headrace.state.home import Home
from headrace.state.logins import Login
from headrace.state.tracking import REPORT_FILE
from headrace_ops import environment, live
from headrace_ops.gate import HEADER_BYTES, Gate
from headrace_ops.mlflow_page import ASSISTANT, start_page

_APP = "headrace_ops.mlflow_server:create_app"
OTHER_SERVERS = ("MLFLOW_GUNICORN_OPTS", "MLFLOW_WAITRESS_OPTS")
CACHE_SECONDS = 60.0
_HOST = "_HEADRACE_MLFLOW_HOST"
_DATA_DOCS = re.compile(live.DATA_DOCS + r"((?:[\w-]+/)?)(?:index\.html)?")
_REPORT = re.compile(live.PAGES + r"reports/([0-9a-f]{32})")
_FRESH = {"x-content-type-options": "nosniff", "cache-control": "no-store"}
_HEADERS = {
    "content-security-policy": f"{POLICY}; frame-ancestors 'self'",
    **_FRESH,
}


def create_app() -> Gate:
    """MLflow's application behind the gate.

    Raises:
        UsageError: there is no login.
    """
    patterns = hosts.split_list(variable("MLFLOW_SERVER_ALLOWED_HOSTS"))
    # MLflow's list has patterns of names and ports; the gate knows only names.
    names = {p.removesuffix(":*").replace("[[]", "[").strip("[]") for p in patterns}
    allowed = {name for name in names if "*" not in name}
    rules: dict[str, Any] = {
        "hosts": allowed | hosts.names_of(variable(_HOST)) - {""},
        "origins": hosts.split_list(variable("MLFLOW_SERVER_CORS_ALLOWED_ORIGINS")),
        "health": ("/health",),
    }
    _keep_artifacts_below_the_root()
    if environment.mlflow_has_users():
        from mlflow.server import auth

        app = auth.create_app()
        is_user = cached(auth.store.authenticate_user)
        return Gate(app, logins=(), is_user=is_user, **rules)
    login = environment.mlflow_login()
    if login is None:
        raise UsageError(
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD are not set.",
            "Start the server with `headrace up`.",
        )
    from mlflow.server.fastapi_app import app

    return Gate(Pages(app, Settings()), logins=[login], **rules)


class Pages:
    """An ASGI middleware that serves Headrace's pages, and MLflow's with its views."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on to the application."""
        path = scope.get("path", "")
        is_read = scope["type"] == "http" and scope["method"] == "GET"
        is_ours = path.startswith((live.PAGES, ASSISTANT)) or (is_read and path == "/")
        if scope["type"] != "http" or not is_ours:
            await self._app(scope, receive, send)
            return
        answer = await asyncio.to_thread(self._answer, path) if is_read else None
        none = HTMLResponse(b"There is no such page.", 404, _HEADERS)
        await (answer or none)(scope, receive, send)

    def _answer(self, path: str) -> Response | None:
        if path == "/":
            return HTMLResponse(start_page(_own_page(), self._views()), headers=_FRESH)
        if path == live.RUNS:
            return RedirectResponse(self._newest(), 303, _FRESH)
        page = self.find(path)
        return HTMLResponse(page, headers=_HEADERS) if page else None

    def _views(self) -> dict[str, str]:
        with contextlib.suppress(HeadraceError):
            return Home(self._settings).tracking.views()
        return {}

    def _newest(self) -> str:
        with contextlib.suppress(HeadraceError):
            if number := Home(self._settings).tracking.newest_experiment():
                return f"/#/experiments/{number}/runs?workflowType=machine_learning"
        return "/"

    def find(self, path: str) -> bytes | None:
        """The page at a path; None if there is none."""
        with contextlib.suppress(HeadraceError, OSError):
            if docs := _DATA_DOCS.fullmatch(path):
                store = Home(self._settings).store
                return store.read(f"data_docs/{docs[1]}index.html")
            if report := _REPORT.fullmatch(path):
                return Home(self._settings).tracking.run_file(report[1], REPORT_FILE)
        return None


def _own_page() -> str:
    from mlflow.server import app

    folder = Path(str(app.static_folder))
    return (folder / "index.html").read_text(encoding="utf-8")


def cached(authenticate: Callable[[str, str], bool]) -> Callable[[Login], bool]:
    """Cache for a minute the logins that MLflow has accepted.

    MLflow's own check takes a tenth of a second, and MLflow repeats it behind the gate.
    """
    accepted: dict[str, float] = {}

    def is_user(login: Login) -> bool:
        key, now = login.derive("user"), time.monotonic()
        if now - accepted.get(key, -CACHE_SECONDS) < CACHE_SECONDS:
            return True
        accepted.pop(key, None)
        if authenticate(login.user, login.password):
            accepted[key] = now
        return key in accepted

    return is_user


def _keep_artifacts_below_the_root() -> None:
    """Patch MLflow to refuse an experiment with artifacts outside the artifact root.

    MLflow writes uploaded files to the artifact location of the run's experiment.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.server.constants import ARTIFACT_ROOT_ENV_VAR
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    root = variable(ARTIFACT_ROOT_ENV_VAR)
    create: Callable[..., Any] = SqlAlchemyStore.create_experiment

    @functools.wraps(create)
    def create_below(store: Any, name: str, *rest: Any, **named: Any) -> Any:
        location = named.get("artifact_location") or next(iter(rest), None)
        if location and not is_below(location, root):
            raise MlflowException.invalid_parameter_value(
                f"artifact_location must be below {root}, or left out."
            )
        return create(store, name, *rest, **named)

    setattr(SqlAlchemyStore, "create_experiment", create_below)  # noqa: B010


def is_below(location: str, root: str) -> bool:
    """Whether a location is below a root, or served by MLflow, which keeps it there."""
    parts = urlsplit(location)
    path = unquote(parts.path)
    if ".." in path.split("/") or parts.query or parts.fragment:
        return False
    if parts.scheme == "mlflow-artifacts":
        return True
    top = urlsplit(root)
    if (parts.scheme or "file", parts.netloc) != (top.scheme or "file", top.netloc):
        return False
    return f"{path}/".startswith(unquote(top.path).rstrip("/") + "/")


def main() -> None:
    """Run ``mlflow`` with the arguments of this process."""
    for name in OTHER_SERVERS:  # they would bypass the gate
        os.environ.pop(name, None)
    import mlflow.server

    build: Callable[..., list[str]] = mlflow.server._build_uvicorn_command

    def build_gated(opts: Any, host: str, *rest: Any, **_: Any) -> list[str]:
        os.environ[_HOST] = host
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
