"""Real servers and workers, started as a user starts them."""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from tests.databases import new_databases, postgresql
from tests.faults.storage import (  # noqa: F401
    moto_url,
    place,
    run_on_a_disk,
    storage,
)

from headrace_ops import servers

OURS = ("HEADRACE_", "MLFLOW_", "PREFECT_")


def inherited():
    """The environment of the machine without settings of ours."""
    return {k: v for k, v in os.environ.items() if not k.startswith(OURS)}


@dataclass
class Services:
    """A home with all its servers and workers.

    Attributes:
        home: where its state is.
        project: where its pipelines are; commands run there.
        links: ``prefect``, ``mlflow`` and ``postgres``, as ``up`` told them.
        environment: what ``up`` told a shell elsewhere to set.
        process: ``headrace up`` itself.
        variables: what commands in this home are given besides.
    """

    home: Path
    project: Path
    links: dict[str, str]
    environment: dict[str, str]
    process: subprocess.Popen[str]
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def authorization(self):
        """The header that lets a client in at its Prefect and its MLflow."""
        login = self.environment["PREFECT_API_AUTH_STRING"].encode()
        return {"Authorization": "Basic " + base64.b64encode(login).decode()}

    def start(self, *arguments, **variables):
        """Start a command in this home; it finds the servers by itself."""
        return start(
            self.home, self.project, *arguments, **{**self.variables, **variables}
        )

    def headrace(self, *arguments, timeout=240, **variables):
        """Run a command with ``--json``: its exit code and its one object."""
        process = self.start(*arguments, "--json", **variables)
        try:
            out, err = process.communicate(timeout=timeout)
        finally:
            process.kill()
        assert out.count("\n") == 1, out + err
        answer = json.loads(out)
        return process.returncode, answer


def start(home, project, *arguments, **variables):
    """Start a command of a home, as from a shell without settings of ours."""
    places = {"HEADRACE_HOME": str(home), "HEADRACE_PROJECT": str(project)}
    return subprocess.Popen(
        [sys.executable, "-m", "headrace_cli", *arguments],
        env={**inherited(), "HEADRACE_USER": "ada@lab", **places, **variables},
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@functools.cache
def take_usual_ports():
    """Listen at the ports of `up`, so that each home of these tests has its own.

    Else one could take the port of another whose server is killed and started again.
    """
    taken = []
    for port in servers.PORTS.values():
        with contextlib.suppress(OSError):  # others have it
            taken.append(socket.create_server(("127.0.0.1", port)))
    return taken


def up(home, project, *arguments, **variables):
    """Start `headrace up` and wait for all of it."""
    take_usual_ports()
    process = start(home, project, "up", *arguments, "--json", **variables)
    assert process.stdout is not None
    line = process.stdout.readline()
    answer = json.loads(line or "{}")
    if answer.get("status") != "up":
        process.kill()
        _, err = process.communicate()
        logs = [f"{p.name}: {p.read_text()[-1500:]}" for p in home.glob("*.log")]
        pytest.fail("\n".join([line, err, *logs]))
    return Services(
        home, project, answer["links"], answer["environment"], process, variables
    )


def down(services, number=signal.SIGINT):
    """End it: its exit code, and what it said on standard error."""
    children = psutil.Process(services.process.pid).children(recursive=True)
    services.process.send_signal(number)
    try:
        _, err = services.process.communicate(timeout=60)
    finally:
        services.process.kill()
        _, alive = psutil.wait_procs(children, timeout=30)
        for left in alive:
            left.kill()
    return services.process.returncode, err


@pytest.fixture(scope="session")
def start_command():
    """`start`, for tests."""
    return start


@pytest.fixture(scope="session")
def start_up():
    """`up`, for tests that end it themselves with `take_down`."""
    return up


@pytest.fixture(scope="session")
def take_down():
    """`down`, for tests."""
    return down


@pytest.fixture(scope="session")
def new_home():
    """Makes homes that are not below pytest's folder, whose path is long."""
    with contextlib.ExitStack() as stack:

        def make():
            folder = tempfile.TemporaryDirectory(
                prefix="headrace-", ignore_cleanup_errors=True
            )
            return Path(stack.enter_context(folder)) / "home"

        yield make


@pytest.fixture(scope="session")
def database():
    """A PostgreSQL. Root's runs as another user, who cannot read pytest's folder."""
    with (
        tempfile.TemporaryDirectory(
            prefix="headrace-", ignore_cleanup_errors=True
        ) as folder,
        postgresql(Path(folder) / "postgres") as server,
    ):
        yield server


@pytest.fixture(scope="session")
def services(project, new_home, database):
    """One home with PostgreSQL, Prefect, MLflow and both workers, for all tests.

    A test that breaks something in it puts it right again, or has a home of its own.
    """
    started = up(new_home(), project, **new_databases(database))
    yield started
    down(started)
