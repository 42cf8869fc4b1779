"""Fills a home with a long history: a ledger of a million rows in two minutes.

``python -m tests.benchmarks.ledgers HOME --rows 1000000 --versions 10000 --pipelines
1000`` begins with a run of ``digits``. Its rows are repeated for other pipelines and
versions, chained as Headrace chains them. MLflow gets the versions. All of them share
the run and the model's files, and most files of the store that the ledger names are
gone, as after `headrace gc`.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import sqlalchemy as sa
import typer

from headrace.settings import Settings
from headrace.state.ledger import Ledger
from headrace.state.ledger.database import Database
from headrace.state.ledger.engines import make_engine
from headrace.state.ledger.events import (
    EVENTS,
    digest_of,
    link_of,
    utc_now,
)

TEMPLATE = "digits"
STAGES = ("ingest", "validate", "train", "evaluate")
BATCH = 5000
_COPIED_TABLES = {
    "registered_models": "name",
    "registered_model_tags": "name",
    "model_versions": "name",
    "model_version_tags": "name",
}

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Size:
    """How long a history is."""

    rows: int
    versions: int
    pipelines: int

    @property
    def anchors_of_version(self) -> int:
        """Rows beside the version, its evidence and its entry."""
        return self.rows // self.versions - 3


class History:
    """What happens in a home with many pipelines, as rows that are not chained yet.

    Args:
        template: the rows of a ledger after one run of `TEMPLATE`.
        size: of the history.
    """

    def __init__(self, template: list[Row], size: Size) -> None:
        self._by_kind = {row["kind"]: row for row in template}
        self._size = size
        self._steps: dict[str, int] = {}
        self._files = 0

    def models(self) -> list[str]:
        """The names of the pipelines."""
        return [f"pipeline-{number:04}" for number in range(self._size.pipelines)]

    def promotions(self) -> Iterator[tuple[str, int, list[Row]]]:
        """The rows of one version after the other: every pipeline in turn."""
        for version in range(1, self._size.versions // self._size.pipelines + 1):
            for model in self.models():
                yield model, version, list(self._of_version(model, version))

    def _of_version(self, model: str, version: int) -> Iterator[Row]:
        for number in range(self._size.anchors_of_version // 2):
            yield from self._of_stage(model, STAGES[number % len(STAGES)])
        before = version - 1 or None
        training = hashlib.sha256(f"{model}/{version}".encode()).hexdigest()
        registered = self._row("version", model, 1, {"training": training})
        yield registered | {"subject": str(version)}
        evidence = {"version": version, "champion_version": before}
        evidence |= self._judged(before)
        yield self._row("evidence", model, version, evidence)
        entry = {"from_version": before, "to_version": version, "evidence_id": version}
        yield self._row("entry", model, version, entry)
        if self._size.anchors_of_version % 2:
            yield self._anchor(f"cards/{model}-{version}.html", self._digest())

    def _judged(self, before: int | None) -> Row:
        """Gates and metrics of evidence, which fit each other."""
        body = copy.deepcopy(self._by_kind["evidence"]["body"])
        if before is not None:
            p_value = 0.001
            body["metrics"] |= {"champion_p_value": p_value, "compared_items": 1017.0}
            for gate in body["gates"]:
                if gate["name"] == "champion":
                    gate |= {"value": p_value, "p_value": p_value, "reason": ""}
        return {"gates": body["gates"], "metrics": body["metrics"]}

    def _of_stage(self, model: str, stage: str) -> Iterator[Row]:
        digest = self._digest()
        yield self._anchor(f"stages/{digest[::-1]}.json", digest)
        yield self._anchor(f"pipelines/{model}/{stage}.json", digest)

    def _anchor(self, key: str, digest: str) -> Row:
        self._steps[key] = step = self._steps.get(key, 0) + 1
        body = {"digest": digest, "created": utc_now()}
        own = {"kind": "anchor", "model": "", "subject": key, "step": step}
        return {**own, "rests_on": None, "body": body}

    def _row(self, kind: str, model: str, step: int, changes: Row) -> Row:
        body, now = self._by_kind[kind]["body"], utc_now()
        moments = {name: now for name in ("when", "created") if name in body}
        # What it rests on is set where the numbers are known.
        own = {"kind": kind, "model": model, "subject": "", "step": step}
        return {**own, "rests_on": None, "body": {**body, **moments, **changes}}

    def _digest(self) -> str:
        self._files += 1
        return hashlib.sha256(str(self._files).encode()).hexdigest()


class Chain:
    """Adds rows to a ledger, chained, some thousands at once.

    Args:
        connection: of one transaction.
        last: number and link of the last row.
    """

    def __init__(self, connection: sa.Connection, last: tuple[int, str]) -> None:
        self._connection = connection
        self.number, self._link = last
        self._waiting: list[Row] = []

    def add(self, rows: list[Row]) -> None:
        """Complete rows and add them; evidence rests on the version before it."""
        basis = None
        for row in rows:
            self.number += 1
            row["number"] = self.number
            row["rests_on"] = basis if row["kind"] in ("evidence", "entry") else None
            row["digest"] = digest_of(row)
            row["link"] = self._link = link_of(self._link, row)
            basis = self.number
        self._waiting += rows
        if len(self._waiting) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if not self._waiting:
            return
        self._connection.execute(sa.insert(EVENTS), self._waiting)
        self._waiting = []


def fill(home: Path, size: Size, database_url: str = "") -> None:
    """Add a history to a home that has run `TEMPLATE` once.

    Args:
        home: of the run.
        size: of what is added.
        database_url: another database for the ledger, which has none yet.
    """
    own = Settings(home=home)
    settings = Settings(home=home, database_url=database_url or own.database_url)
    Ledger(settings.database_url)
    database = Database(settings.database_url, 30.0, 0.0)
    with database.locking() as connection:  # a run's process may add rows after it
        if database_url:
            template = _rows(own.database_url)
            connection.execute(sa.insert(EVENTS), template)
        template = _read(connection)
        history = History(template, size)
        last = template[-1]
        chain = Chain(connection, (last["number"], last["link"]))
        for _, _, rows in history.promotions():
            chain.add(rows)
        chain.flush()
    _register(home / "mlflow.db", history.models(), size.versions // size.pipelines)


def _rows(url: str) -> list[Row]:
    with make_engine(url, 30.0).connect() as connection:
        return _read(connection)


def _read(connection: sa.Connection) -> list[Row]:
    query = sa.select(EVENTS).order_by(EVENTS.c.number)
    return [dict(row) for row in connection.execute(query).mappings()]


def _register(database: Path, models: list[str], versions: int) -> None:
    """Repeat what MLflow's registry has of the template."""
    with contextlib.closing(sqlite3.connect(database)) as opened, opened:
        opened.row_factory = sqlite3.Row
        for table, column in _COPIED_TABLES.items():
            query = f'SELECT * FROM "{table}" WHERE "{column}" = ?'
            found = [dict(row) for row in opened.execute(query, (TEMPLATE,))]
            every = range(1, versions + 1) if "version" in found[0] else (1,)
            rows = (
                {**row, "name": model} | ({"version": n} if "version" in row else {})
                for model in models
                for n in every
                for row in found
            )
            marks = ", ".join("?" * len(found[0]))
            into = f'INSERT INTO "{table}" VALUES ({marks})'
            opened.executemany(into, (tuple(row.values()) for row in rows))
        aliases = [("champion", versions, model, "default") for model in models]
        into = "INSERT INTO registered_model_aliases VALUES (?, ?, ?, ?)"
        opened.executemany(into, aliases)


def run_template(home: Path) -> None:
    """One run of `TEMPLATE`, which the history repeats."""
    command = [str(Path(sys.executable).with_name("headrace")), "run", TEMPLATE]
    environment = {**os.environ, "HEADRACE_HOME": str(home)}
    subprocess.run(command, env=environment, check=True, capture_output=True)
    shutil.rmtree(home / "prefect", ignore_errors=True)


def main(
    home: Annotated[Path, typer.Argument(help="A folder; it may hold one run.")],
    rows: int = 1_000_000,
    versions: int = 10_000,
    pipelines: int = 1_000,
    database_url: str = "",
) -> None:
    """Fill a home with a long history."""
    if not (home / "headrace.db").is_file():
        run_template(home)
    fill(home, Size(rows, versions, pipelines), database_url)


if __name__ == "__main__":
    typer.run(main)
