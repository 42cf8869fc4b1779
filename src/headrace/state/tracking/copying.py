"""Copying MLflow's database to another SQLite or PostgreSQL database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from headrace.errors import UsageError
from headrace.settings import Settings
from headrace.state.ledger.copying import advance_sequences
from headrace.state.tracking.connection import Connection, relocate, tracking_errors

_SCHEMA = "alembic_version"
_KEY_COLUMNS = {"experiments": "name"}  # every database has an experiment with id 0
_BATCH = 1000


def copy_tracking(source_uri: str, target: Settings, old: str, new: str) -> None:
    """Copy all rows, and rewrite the URIs of artifacts in them.

    Rows of an earlier copy are replaced, in one transaction.

    Args:
        source_uri: of the database.
        target: its ``tracking_uri`` is the database to copy to.
        old, new: the root of the artifacts now and afterwards.

    Raises:
        UsageError: the target has its own runs, or is of another version of MLflow.
        DependencyError: a database does not answer.
    """
    uri = target.tracking_uri
    with tracking_errors(uri):
        Connection(target).client.search_experiments(max_results=1)  # creates tables
        reading = sa.create_engine(source_uri, poolclass=sa.NullPool)
        writing = sa.create_engine(uri, poolclass=sa.NullPool)
        with reading.connect() as source, writing.begin() as copy:
            theirs, ours = sa.MetaData(), sa.MetaData()
            theirs.reflect(source)
            ours.reflect(copy)
            _check(source, copy, theirs, ours)
            for table in reversed(ours.sorted_tables):
                copy.execute(sa.delete(table))
            for table in ours.sorted_tables:
                rows = source.execute(sa.select(theirs.tables[table.name])).mappings()
                for batch in rows.partitions(_BATCH):
                    copy.execute(sa.insert(table), list(map(dict, batch)))
            advance_sequences(copy, ours.sorted_tables)
            relocate(copy, old, new)


def relocate_all(uri: str, old: str, new: str) -> None:
    """Rewrite the URIs of artifacts in MLflow's database."""
    if old == new or uri.startswith("http"):
        return
    with tracking_errors(uri), sa.create_engine(uri).begin() as connection:
        relocate(connection, old, new)


def _check(
    source: sa.Connection, copy: sa.Connection, theirs: sa.MetaData, ours: sa.MetaData
) -> None:
    """Refuse a target with rows that the source lacks."""
    where = copy.engine.url.render_as_string(hide_password=True)
    if _keys(source, theirs, _SCHEMA) != _keys(copy, ours, _SCHEMA):
        raise UsageError(
            f"MLflow's database {where} is of another version of MLflow than "
            f"{source.engine.url.render_as_string(hide_password=True)}.",
            "Back both up, and run `mlflow db upgrade` on the older one.",
        )
    for name in ours.tables:
        own = _keys(copy, ours, name)
        if own and not own <= _keys(source, theirs, name):
            raise UsageError(
                f"MLflow's database {where} has rows of its own (table {name}).",
                "Name an empty database.",
            )


def _keys(
    connection: sa.Connection, metadata: sa.MetaData, name: str
) -> set[tuple[Mapping[str, Any], ...]]:
    table = metadata.tables[name]
    columns = list(table.primary_key.columns) or list(table.columns)
    if name in _KEY_COLUMNS:
        columns = [table.c[_KEY_COLUMNS[name]]]
    return {tuple(row) for row in connection.execute(sa.select(*columns))}
