"""Prefect's server behind our gate.

``serve`` is Prefect's application with the gate before it, for ``headrace up`` and for
the temporary server of a run. Run as a module with a host and a port, this is the one
of ``headrace up``; with ``without-trigrams`` it is for a PostgreSQL that lacks the
extension ``pg_trgm``. The one in a home does. Prefect's migrations make it, and
indexes with it, only to find names by a part of them faster.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import Any

from headrace.errors import UsageError
from headrace.settings import variable
from headrace.state.logins import Login
from headrace_ops.environment import is_loopback
from headrace_ops.gate import Gate
from headrace_ops.hosts import host_of, names_of, origin_of, split_list

WITHOUT_TRIGRAMS = "without-trigrams"
_NOTHING = "SELECT 1"
_LOGIN = "PREFECT_SERVER_API_AUTH_STRING"
_ORIGINS = "PREFECT_SERVER_CORS_ALLOWED_ORIGINS"


def leave_out_trigrams(
    _connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any
) -> tuple[str, Any]:
    """Replace what makes or drops the extension or an index with it."""
    words = statement[:200].split(maxsplit=2)
    is_of_structure = words[:1] in (["CREATE"], ["DROP"])
    if is_of_structure and words[1:2] in (["EXTENSION"], ["INDEX"]):
        if "trgm" in statement:
            return _NOTHING, ()
    return statement, parameters


def gated(host: str, *, is_lasting: bool) -> Gate:
    """Prefect's application and the gate, which asks for the login of the environment.

    Prefect itself does not know the login: the gate asks on every route, and Prefect's
    page would ask a person once more.

    Args:
        host: the address where it will listen.
        is_lasting: it is worth some time at the start to need less memory later.

    Raises:
        UsageError: there is no login.
    """
    login = os.environ.pop(_LOGIN, "")
    if not login:
        raise UsageError(f"{_LOGIN} is not set.", "Start the server with `headrace`.")
    page = variable("PREFECT_UI_API_URL")
    origins = split_list(variable(_ORIGINS)) - {"*"}
    os.environ[_ORIGINS] = ",".join(origins)  # by default Prefect answers to all
    from prefect.server.api.server import create_app

    return Gate(
        create_app(final=is_lasting),
        logins=[Login.parse(login)],
        hosts=names_of(host) | {host_of(page)} - {""},
        origins=origins | {origin_of(page)} - {""},
        health=("/api/health", "/api/ready"),
    )


def serve(host: str, port: int, *, is_lasting: bool) -> None:
    """Serve Prefect until this process is told to end."""
    gc.disable()  # importing it makes nothing but what stays
    import uvicorn

    app = gated(host, is_lasting=is_lasting)
    from prefect.settings import get_current_settings

    gc.freeze()
    gc.enable()
    api = get_current_settings().server.api
    uvicorn.run(
        app,
        host=host,
        port=port,
        log_level="warning" if is_lasting else "error",
        proxy_headers=not is_loopback(host),  # who connects is who it is
        access_log=False,  # it would have the token of the link
        timeout_keep_alive=api.keepalive_timeout,
        ws_ping_interval=api.websocket_ping_interval,
        ws_ping_timeout=api.websocket_ping_timeout,
    )


def main() -> None:
    """Serve Prefect at the host and port of the arguments."""
    host, port, *options = sys.argv[1:]
    if WITHOUT_TRIGRAMS in options:
        from sqlalchemy import Engine, event

        event.listen(Engine, "before_cursor_execute", leave_out_trigrams, retval=True)
    serve(host, int(port), is_lasting=True)


if __name__ == "__main__":
    main()
