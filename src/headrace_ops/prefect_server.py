"""Prefect's server behind the gate.

``serve`` runs Prefect's application behind the gate, for ``headrace up`` and for the
temporary server of a run. As a module with a port, it is that of ``headrace up``.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from headrace.imports import load_jsonschema
from headrace.state.logins import Login
from headrace.state.templates import new_database
from headrace_ops.environment import own_prefect_database
from headrace_ops.gate import UVICORN, Gate

_LOGIN = "PREFECT_SERVER_API_AUTH_STRING"
_ORIGINS = "PREFECT_SERVER_CORS_ALLOWED_ORIGINS"
_DATABASE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"  # the other name is older
_DATABASES = ("PREFECT_SERVER_DATABASE_", "PREFECT_API_DATABASE_")


def create_database(path: Path) -> None:
    """Create Prefect's SQLite database, unless it exists.

    Raises:
        OSError, SubprocessError: it cannot be created.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new_database(path, "prefect", _migrate)


def _migrate(path: Path) -> None:
    command = [sys.executable, "-Pm", "prefect"]
    command += ["server", "database", "upgrade", "-y"]
    others = {k: v for k, v in dict(os.environ).items() if not k.startswith(_DATABASES)}
    subprocess.run(  # noqa: S603
        command,
        env={**others, _DATABASE: f"sqlite+aiosqlite:///{path}"},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # all in one file


def _create_own_database() -> None:
    """Create the database in PREFECT_HOME, unless another is configured."""
    path = own_prefect_database()
    if path is None:
        return
    faults = OSError, sqlite3.Error, subprocess.SubprocessError
    with contextlib.suppress(*faults):  # Prefect will say what is wrong
        create_database(path)


async def _ask_once(app: Any) -> None:
    """Have FastAPI prepare its routes, which a first request would wait for."""
    import httpx

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        await client.get("/api/admin/version")


def serve(port: int, *, is_lasting: bool) -> None:
    """Serve Prefect until this process gets a signal to end.

    The gate requires the login in the environment, which is removed from there, else
    Prefect's page asks for it again.

    Args:
        port: its port of loopback.
        is_lasting: whether a slower start is acceptable to save memory.

    Raises:
        KeyError: the environment has no login.
    """
    gc.disable()  # the imports create no garbage
    login = os.environ.pop(_LOGIN)
    os.environ[_ORIGINS] = ""  # Prefect's default is all origins
    creating = threading.Thread(target=_create_own_database)  # beside the imports
    creating.start()
    load_jsonschema()
    import uvicorn
    from prefect.server.api.server import create_app
    from prefect.settings import get_current_settings

    prefect = create_app(final=is_lasting)
    if not is_lasting:
        asyncio.run(_ask_once(prefect))
    health = ("/api/health", "/api/ready")
    app = Gate(prefect, login=Login.parse(login), health=health)
    gc.freeze()
    gc.enable()
    creating.join()
    api = get_current_settings().server.api
    uvicorn.run(
        app,
        port=port,
        log_level="warning" if is_lasting else "error",
        **UVICORN,
        access_log=False,  # it would contain the token of the link
        timeout_keep_alive=api.keepalive_timeout,
        ws_ping_interval=api.websocket_ping_interval,
        ws_ping_timeout=api.websocket_ping_timeout,
    )


def main() -> None:
    """Serve Prefect at the port of the first argument; with another, for one run."""
    serve(int(sys.argv[1]), is_lasting=not sys.argv[2:])


if __name__ == "__main__":
    main()
