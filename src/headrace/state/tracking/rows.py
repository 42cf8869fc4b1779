"""The rows of MLflow's database about a version: read, compared and written back.

MLflow's interface cannot restore them: it gives the number of a deleted version to no
other version, and chooses the id of a run itself. So this reads and writes the tables
of MLflow's database, each row with its columns. It needs no import of MLflow.
Paths of artifacts are relative to the settings' artifacts, so a home can be moved.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from headrace.settings import Settings
from headrace.state.ledger.mismatch import Mismatch
from headrace.state.ledger.rows import Version
from headrace.state.logins import login_of
from headrace.state.tracking.artifacts import HOME
from headrace.state.tracking.connection import import_mlflow, tracking_errors

Row = dict[str, Any]
Rows = dict[str, list[Row]]

# Tables in the order of their insertion; the columns that must stay as they were. Tags
# and descriptions may be edited by people.
_COMPARED: dict[str, tuple[str, ...]] = {
    "experiments": ("lifecycle_stage",),
    "runs": ("lifecycle_stage", "status", "experiment_id", "artifact_uri"),
    "datasets": (),
    "inputs": (),
    "input_tags": (),
    "tags": (),
    "params": ("value",),
    "metrics": (),
    "latest_metrics": (),
    "logged_models": ("lifecycle_stage", "artifact_location"),
    "logged_model_params": ("param_value",),
    "logged_model_tags": (),
    "logged_model_metrics": ("metric_value",),
    "registered_models": (),
    "model_versions": ("current_stage", "run_id", "source", "status"),
    "model_version_tags": (),
}
_OPTIONAL = {"tags", "logged_model_tags", "model_version_tags", "input_tags"}
_OF_RUN = ("runs", "tags", "params", "metrics", "latest_metrics")
_OF_MODEL = (
    "logged_models",
    "logged_model_params",
    "logged_model_tags",
    "logged_model_metrics",
)
_REGISTRY = {"registered_models", "model_versions", "model_version_tags"}
_RELATIVE = re.compile(rf"^{re.escape(HOME)}(?=/|$)")
_reflected: dict[tuple[str, Any], dict[str, sa.Table]] = {}
_DELETED = "Deleted_Internal"  # MLflow's stage of a version that was deleted


def database_of(settings: Settings) -> str:
    """SQLAlchemy URL of MLflow's database; empty if only its server can be reached.

    The server that ``headrace up`` of this home has started uses the home's database.
    """
    uri = settings.tracking_uri
    if uri.startswith("http") and login_of(settings.home, uri):
        uri = settings.home_tracking_uri
    if not uri.startswith(("sqlite:", "postgresql", "mysql", "mssql")):
        return ""
    file = uri.removeprefix("sqlite:///")
    return "" if uri.startswith("sqlite:") and not Path(file).is_file() else uri


class TrackingRows:
    """The rows about a version in MLflow's database.

    Args:
        settings: with the artifacts.
        url: from `database_of`.
    """

    def __init__(self, settings: Settings, url: str) -> None:
        self._artifacts = settings.artifacts
        # The artifacts of this home, or of the place that it was moved from.
        places = rf"file:.*?/mlartifacts|{re.escape(settings.artifacts)}"
        self._root = re.compile(rf"^(?:{places})(?=/|$)")
        self._url = url

    def read(self, version: Version) -> Rows:
        """All rows about a version, its run and its logged model."""
        with self._connect() as connection:
            return self._read(connection, version, _reflect(connection))

    def aliases(self, model: str) -> dict[str, int]:
        """The number of the version of each alias of a model."""
        query = sa.text(
            "SELECT alias, version FROM registered_model_aliases WHERE name = :m"
        )
        with self._connect() as connection:
            if not sa.inspect(connection).has_table("registered_model_aliases"):
                return {}
            return {a: int(v) for a, v in connection.execute(query, {"m": model})}

    def champions(self) -> dict[str, int]:
        """The number of the version of each model's alias champion."""
        query = sa.text(
            "SELECT name, version FROM registered_model_aliases WHERE alias = :a"
        )
        with self._connect() as connection:
            if not sa.inspect(connection).has_table("registered_model_aliases"):
                return {}
            return {m: int(v) for m, v in connection.execute(query, {"a": "champion"})}

    def mismatches(
        self,
        version: Version,
        recorded: Mapping[str, list[Row]],
        present: Rows | None = None,
    ) -> list[Mismatch]:
        """The rows that differ from those that were read before.

        Rows that were added since are no difference. There is one mismatch at most of
        the version in the registry, and one of its run.

        Args:
            version: that the rows are about.
            recorded: the rows as they were.
            present: the rows as they are; by default they are read.
        """
        with self._connect() as connection:
            tables = _reflect(connection)
            present = present or self._read(connection, version, tables)
        mismatches: dict[str, Mismatch] = {}
        for name, row, now in _differences(recorded, present, tables):
            run, number = f"run {version.run_id}", f"version {version.version}"
            what = number if name in _REGISTRY else run
            if what not in mismatches:
                message = _message(name, row, now, version)
                mismatches[what] = Mismatch.of(version, "mlflow", what, message)
        return list(mismatches.values())

    def restore(self, version: Version, recorded: Mapping[str, list[Row]]) -> list[str]:
        """Write rows that are gone or changed as they were; returns the steps done."""
        done: dict[str, None] = {}
        with self._connect() as connection:
            tables = _reflect(connection)
            present = self._read(connection, version, tables)
            rows = _differences(recorded, present, tables, strict=True)
            for name, row, _ in rows:
                table, values = tables[name], self._absolute(row)
                values = {k: v for k, v in values.items() if k in table.c}
                key = [c == values[c.name] for c in table.primary_key.columns]
                if name == "metrics":  # its value is part of its key
                    own = ("run_uuid", "key", "timestamp", "step")
                    same = [table.c[c] == values[c] for c in own]
                    connection.execute(sa.delete(table).where(*same))
                count = sa.select(sa.func.count()).select_from(table).where(*key)
                if connection.execute(count).scalar():
                    connection.execute(sa.update(table).where(*key).values(**values))
                else:
                    connection.execute(sa.insert(table).values(**values))
                what = f"version {version.version}" if name in _REGISTRY else "run"
                done[f"put its {what} in MLflow back as it was recorded"] = None
        return list(done)

    @contextlib.contextmanager
    def _connect(self) -> Iterator[sa.Connection]:
        try:
            with _engine(self._url).begin() as opened:
                yield opened
        except sa.exc.SQLAlchemyError:
            import_mlflow()
            with tracking_errors(self._url):
                raise

    def _read(
        self,
        connection: sa.Connection,
        version: Version,
        tables: Mapping[str, sa.Table],
    ) -> Rows:
        rows = Rows()

        def select(name: str, /, **wanted: Any) -> list[Row]:
            table = tables.get(name)
            if table is None:
                return []
            key = list(table.primary_key.columns)
            query = sa.select(table).where(
                *(table.c[c] == v for c, v in wanted.items())
            )
            mappings = connection.execute(query.order_by(*key)).mappings()
            return [self._relative(dict(row)) for row in mappings]

        run, model = version.run_id, version.model_uri.rpartition("/")[2]
        for name in _OF_RUN:
            rows[name] = select(name, run_uuid=run)
        for name in _OF_MODEL:
            rows[name] = select(name, model_id=model)
        inputs = select("inputs", destination_type="RUN", destination_id=run)
        outputs = select("inputs", source_type="RUN_OUTPUT", source_id=run)
        rows["inputs"] = [*inputs, *outputs]
        for name, column, key in (
            ("input_tags", "input_uuid", "input_uuid"),
            ("datasets", "dataset_uuid", "source_id"),
        ):
            rows[name] = [
                x for row in inputs for x in select(name, **{column: row[key]})
            ]
        for row in rows["runs"][:1]:
            rows["experiments"] = select(
                "experiments", experiment_id=row["experiment_id"]
            )
        own = {"name": version.model}
        rows["registered_models"] = select("registered_models", **own)
        for name in ("model_versions", "model_version_tags"):
            rows[name] = select(name, **own, version=version.version)
        return rows

    def _relative(self, row: Row) -> Row:
        return {k: _substitute(self._root, HOME, v) for k, v in row.items()}

    def _absolute(self, row: Row) -> Row:
        return {k: _substitute(_RELATIVE, self._artifacts, v) for k, v in row.items()}


@functools.cache
def _engine(url: str) -> sa.Engine:
    """The engine of a URL: it keeps the queries that it has compiled."""
    return sa.create_engine(url, poolclass=sa.NullPool)


def _substitute(pattern: re.Pattern[str], root: str, value: Any) -> Any:
    return pattern.sub(lambda _: root, value) if isinstance(value, str) else value


def _reflect(connection: sa.Connection) -> dict[str, sa.Table]:
    """MLflow's tables, read once for each version of its schema."""
    place = connection.engine.url.render_as_string(hide_password=False)
    schema = "SELECT version_num FROM alembic_version"
    version = connection.exec_driver_sql(schema).scalar()
    if (place, version) not in _reflected:
        _reflected[place, version] = _reflect_anew(connection)
    return _reflected[place, version]


def _reflect_anew(connection: sa.Connection) -> dict[str, sa.Table]:
    metadata, inspector = sa.MetaData(), sa.inspect(connection)
    names = [name for name in _COMPARED if inspector.has_table(name)]
    return {
        name: sa.Table(name, metadata, autoload_with=connection, resolve_fks=False)
        for name in names
    }


def _differences(
    recorded: Mapping[str, list[Row]],
    present: Mapping[str, list[Row]],
    tables: Mapping[str, sa.Table],
    *,
    strict: bool = False,
) -> Iterator[tuple[str, Row, Row | None]]:
    """Recorded rows that are gone or changed, each with its table and its row of now.

    Args:
        strict: whether also tags count, and all columns of a row that was changed.
    """
    for name, compared in _COMPARED.items():
        if name not in tables or (name in _OPTIONAL and not strict):
            continue
        key = [column.name for column in tables[name].primary_key.columns]
        now = {tuple(one[k] for k in key): one for one in present.get(name, [])}
        for row in recorded.get(name, []):
            other = now.get(tuple(row.get(k) for k in key))
            if other is None or any(other[c] != row[c] for c in compared):
                yield name, row, other
            elif name == "latest_metrics" and _is_edited(row, other):
                yield name, row, other


def _is_edited(row: Row, other: Row) -> bool:
    same = all(row[name] == other[name] for name in ("timestamp", "step"))
    return same and row["value"] != other["value"]


def _message(name: str, row: Row, now: Row | None, version: Version) -> str:
    run = f"MLflow's run {version.run_id} of {version.model}/{version.version}"
    listed = f"MLflow's version {version.version} of {version.model}"
    subject = listed if name in _REGISTRY else run
    if name == "model_versions" and (now is None or now["current_stage"] == _DELETED):
        return f"{listed} was deleted."
    if name == "registered_models":
        return f"MLflow's model {version.model} was deleted."
    if name in ("runs", "experiments"):
        stage = None if now is None else now["lifecycle_stage"]
        if stage != row["lifecycle_stage"]:
            return f"{run} was deleted."
    if name == "logged_models":
        return f"the logged model of {run} was deleted or changed."
    changed = [c for c in _COMPARED[name] if now and now[c] != row[c]]
    if changed and now:
        own = row.get("key") or row.get("metric_name")
        what = own if name in ("params", "logged_model_metrics") else changed[0]
        was, value = row[changed[0]], now[changed[0]]
        return f"{subject}: {what} was changed from {was!s:.60} to {value!s:.60}."
    label = row.get("key") or row.get("param_key") or row.get("metric_name") or name
    kind = {"params": "parameter", "metrics": "metric", "latest_metrics": "metric"}
    return f"{subject}: the {kind.get(name, name)} {label} was changed or deleted."
