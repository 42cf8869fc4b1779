"""The Prefect server of a run.

It is the configured server, that of ``headrace up``, or a temporary one that ends with
the run.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator

from headrace.errors import DependencyError, UsageError
from headrace.imports import load_jsonschema
from headrace.settings import Settings, restore_variables, variable
from headrace.settings.home import make_private
from headrace.state import children
from headrace.state.disk import full_disk, is_full
from headrace.state.logins import new_login
from headrace_ops import environment, guard, live, prefect_inside

RETURN_LIMIT_SECONDS = 60
NEEDED_BYTES = 8 * 2**20  # for a new database of Prefect
TRIGGERS = "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED"


def configure(settings: Settings) -> None:
    """Set Prefect's variables unless they are set. Call it before importing Prefect."""
    defaults = {
        "PREFECT_HOME": str(settings.home.absolute() / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
        "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "headrace",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_FLOW_RUNS_LEVEL": "CRITICAL",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
        "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500",  # while its database restarts
    }
    os.environ.update({**defaults, **os.environ})


def may_have_automations() -> bool:
    """Whether Prefect's database has automations, or is not the one in its home."""
    path = environment.own_prefect_database()
    if path is None:
        return True
    if not path.exists():
        return False
    try:
        uri = f"{path.as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as database:
            return database.execute("SELECT 1 FROM automation").fetchone() is not None
    except sqlite3.Error:
        return True


def enter_permanent(settings: Settings) -> str:
    """Make this process a client of the permanent server; returns the URL of its API.

    The server is the configured one, otherwise the one of ``headrace up``.

    Raises:
        UsageError: there is none.
    """
    configure(settings)
    url = live.lasting_api_url(settings)
    if not url:
        raise UsageError(
            "There is no permanent Prefect server, which deployments and workers need.",
            "Start one with `headrace up`, or set PREFECT_API_URL.",
        )
    environment.enter_prefect(settings, url)
    return url


class TemporaryServer:
    """A Prefect server for one run; it ends with this process, even if that is killed.

    It requires the login in the environment, or a new one that only this process and
    its children know.
    """

    def __init__(self, settings: Settings) -> None:
        port = live.free_port()
        self.api_url = f"http://127.0.0.1:{port}/api"
        self._log = settings.home.absolute() / "prefect" / "temporary-server.log"
        make_private(self._log.parent)
        self._log.unlink(missing_ok=True)
        self._cleanup = contextlib.ExitStack()
        self._cleanup.enter_context(restore_variables(*environment.CLIENT_VARIABLES))
        login = environment.prefect_login() or new_login()
        os.environ.update(environment.prefect_variables(login))
        variables = {
            "PREFECT_SERVER_API_AUTH_STRING": login.text,
            "PREFECT_UI_ENABLED": "0",
            "PREFECT_API_BLOCKS_REGISTER_ON_START": "0",
            "PREFECT__SERVER_EPHEMERAL": "1",
        }
        if not variable(TRIGGERS) and not may_have_automations():
            variables[TRIGGERS] = "0"  # a sixth of the server's start
        self._start = functools.partial(_start, port, variables, str(self._log))
        self._guard = self._start()

    def wait(self) -> None:
        """Wait until it answers; start it a second time if it ends.

        Concurrent creation of the database of a new home can make one server fail.

        Raises:
            DependencyError: it does not answer.
        """
        name, url = "Prefect's temporary server", f"{self.api_url}/health"
        for is_last in (False, True):
            try:
                live.wait_until(lambda: live.answers(url), self._guard, name, self._log)
                return
            except DependencyError as error:
                home = str(self._log.parent)
                if is_full(home, NEEDED_BYTES):  # its log may be cut off
                    raise full_disk(f"Prefect's database in {home}", home) from error
                if is_last:
                    raise
            guard.stop(self._guard)
            self._guard = self._start()

    def stop(self) -> None:
        """End the server, and remove its login from the environment."""
        guard.stop(self._guard)
        self._cleanup.close()


def _start(port: int, variables: dict[str, str], log: str) -> subprocess.Popen[bytes]:
    """Start the temporary server: a fork, where that is safe, imports half as much."""
    if children.can_fork():
        load_jsonschema()
        import prefect.client.orchestration  # noqa: F401

        work = functools.partial(_serve_in_fork, port, variables)
        return guard.fork("prefect-server", work, log)
    module = "headrace_ops.prefect_server"
    command = [sys.executable, "-Pm", module, str(port), "temporary"]
    return guard.start(command, {**os.environ, **variables}, log)


def _serve_in_fork(port: int, variables: dict[str, str]) -> None:
    os.environ.update(variables)
    from prefect.context import refresh_global_settings_context

    from headrace_ops.prefect_server import serve

    refresh_global_settings_context()
    serve(port, is_lasting=False)


class RunServer:
    """The server that a run uses.

    Attributes:
        api_url: the URL of its API.
        ui_url: the URL of its pages; empty if it is a temporary one, without any.
    """

    def __init__(self, settings: Settings) -> None:
        # The server of the home may be restarting.
        self._limit_seconds = 0 if variable("PREFECT_API_URL") else RETURN_LIMIT_SECONDS
        self._temporary: TemporaryServer | None = None
        self.api_url = live.lasting_api_url(settings)
        self.ui_url = live.pages_url(self.api_url) if self.api_url else ""
        if not self.api_url:
            self._temporary = TemporaryServer(settings)
            self.api_url = self._temporary.api_url
            if not environment.prefect_database():
                # Here a 500 means a full disk, not a database that restarts.
                os.environ["PREFECT_CLIENT_RETRY_EXTRA_CODES"] = ""
        environment.enter_prefect(settings, self.api_url)

    def wait(self) -> None:
        """Wait until the server answers.

        Raises:
            DependencyError: it does not.
        """
        if self._temporary is not None:
            self._temporary.wait()
            return
        limit = time.monotonic() + self._limit_seconds
        while not live.answers(f"{self.api_url}/health", 10):
            if time.monotonic() >= limit:
                raise DependencyError(
                    f"The Prefect server {self.api_url} does not answer.",
                    "Start it, or unset PREFECT_API_URL to use a temporary one.",
                )
            time.sleep(0.5)

    def stop(self) -> None:
        """End a temporary server, once it has received all logs and events."""
        if self._temporary is None:
            return
        if "prefect" in sys.modules:
            prefect_inside.drain()
        self._temporary.stop()
        os.environ.pop("PREFECT_API_URL", None)


@contextlib.contextmanager
def server_for_run(settings: Settings) -> Iterator[RunServer]:
    """Start or find the server; the block first calls `RunServer.wait`."""
    configure(settings)
    server = RunServer(settings)
    try:
        yield server
    finally:
        server.stop()
