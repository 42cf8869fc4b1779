"""Homes, and the command line in them: in this process, or in one of its own."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.blobs import write_law

from headrace.models.logged.loading import open_model
from headrace.state.tracking import Tracking
from headrace_ops.environment import CLIENT_VARIABLES

STAGES = ["ingest", "validate", "train", "evaluate", "register", "promote"]


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    exit_code: int
    out: str
    err: str

    @property
    def json(self):
        """The one object on standard output; anything else there is a failure."""
        assert self.out.count("\n") == 1, self.out + self.err
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


@dataclass(frozen=True)
class Home:
    """A home, and the project that its pipelines are in."""

    path: Path
    project: Path

    @classmethod
    def of_project(cls, project, mlflow_database):
        """An empty home in a project, with an MLflow database that is made already."""
        home = cls(project / "home", project)
        home.path.mkdir()
        shutil.copy(mlflow_database, home.path / "mlflow.db")
        return home

    def enter(self, patch):
        """Have flows of this process work in it."""
        for name, value in self.environment.items():
            patch.setenv(name, value)

    def with_law(self, place, **tables):
        """The same home under a pipeline file with other tables; see `write_law`."""
        write_law(self.project, place / "pipelines" / "blobs", **tables)
        return replace(self, project=place)

    @property
    def environment(self):
        """Of a command that works in it."""
        return {
            "HEADRACE_HOME": str(self.path),
            "HEADRACE_PROJECT": str(self.project),
            "HEADRACE_USER": "ada@lab",
        }

    def start(self, *arguments, **environment):
        """Start the real command, with a Prefect server of its own."""
        inherited = {
            k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")
        }
        if "PREFECT_API_URL" in environment:  # of the server for all tests
            inherited |= {k: os.environ[k] for k in CLIENT_VARIABLES if k in os.environ}
        return subprocess.Popen(
            [sys.executable, "-m", "headrace_cli", *arguments],
            env={**inherited, **self.environment, **environment},
            cwd=self.project,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def assert_reproduced(self, version):
        """The training of a version, repeated, ends with the same weights."""
        answer = self.headrace("reproduce", version, "--json")
        assert answer.exit_code == 0, answer.err
        assert answer.json["status"] == "same"

    def repaired(self, *names):
        """What `verify --repair` has done, for each version."""
        return self.headrace("verify", *names, "--repair", "--json").json["repairs"]

    def headrace(self, *arguments):
        """Run a command in this process: the same code, without the start-up."""
        from mlflow.tracking._tracking_service import utils

        from headrace_cli.main import main

        # MLflow would write files of a run where another copy of the home has it.
        utils._artifact_repos_cache.clear()
        out, err = io.StringIO(), io.StringIO()
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        handlers = {number: signal.getsignal(number) for number in numbers}
        exit_code = None
        with pytest.MonkeyPatch.context() as patch:
            self.enter(patch)
            patch.setattr(sys, "argv", ["headrace", *arguments])
            patch.chdir(self.project)
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                try:
                    main()
                except SystemExit as leave:
                    exit_code = leave.code
                finally:
                    logging.getLogger("headrace").handlers.clear()
                    for number, handler in handlers.items():
                        signal.signal(number, handler)
        return Answer(exit_code, out.getvalue(), err.getvalue())


def rows_of(database, query):
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def values_of(database, query):
    """The rows of a query, each as its only value if it has one."""
    return [row[0] if len(row) == 1 else row for row in rows_of(database, query)]


def execute(database, *statements):
    """Change a database that others may use, in one transaction."""
    with contextlib.closing(sqlite3.connect(database, timeout=30)) as connection:
        with connection:
            for statement in statements:
                connection.execute(statement)


def mlflow_runs(home):
    """(id, status) of every MLflow run of a home; none where it has no database."""
    database = home.path / "mlflow.db"
    if not database.exists():
        return []
    return rows_of(database, "SELECT run_uuid, status FROM runs ORDER BY start_time")


def states(answer):
    return {stage["name"]: stage["state"] for stage in answer["stages"]}


def open_logged(settings, record):
    """The logged model of a training, by the digest of its file."""
    tracking = Tracking(settings)
    with tracking.model_file(record.model_uri, record.model_digest) as path:
        return open_model(path, record.model_uri, record.description)
