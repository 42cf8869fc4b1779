"""Copying the ledger, with its chain, and MLflow's database to other databases.

Rows of the ledger are appended in the order of the chain, so copying is idempotent and
an interrupted copy is continued. Those of MLflow are replaced.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from headrace.errors import UsageError
from headrace.settings import Settings
from headrace.state.ledger.database import Database
from headrace.state.ledger.disposals import KEY
from headrace.state.ledger.events import EVENTS
from headrace.state.ledger.files import CHECKPOINTS
from headrace.state.ledger.leases import IDENTITY
from headrace.state.tracking.connection import Connection, relocate, tracking_errors

_TIMEOUT_SECONDS = 10.0
_SCHEMA = "alembic_version"
_KEY_COLUMNS = {"experiments": "name"}  # every database has an experiment with id 0
_BATCH = 1000


def copy_ledger(source_url: str, target_url: str) -> None:
    """Append the missing rows to the target ledger, in one transaction.

    Raises:
        UsageError: the target is not a prefix of the source.
        DependencyError: a database does not answer, or is locked.
    """
    source = Database(source_url, _TIMEOUT_SECONDS)
    target = Database(target_url, _TIMEOUT_SECONDS)
    # The source is locked so that no row is added meanwhile.
    with source.locking() as reading, target.locking() as writing:
        last = _last_common(reading, writing)
        query = sa.select(EVENTS).where(EVENTS.c.number > last)
        rows = reading.execute(query.order_by(EVENTS.c.number)).mappings()
        for batch in rows.partitions(_BATCH):
            writing.execute(sa.insert(EVENTS), list(map(dict, batch)))
        for table in (IDENTITY, KEY, CHECKPOINTS):
            _replace(table, reading, writing)


def _replace(table: sa.Table, reading: sa.Connection, writing: sa.Connection) -> None:
    """Copy what is no history: the ledger's id, its secret key, the checkpoints."""
    if not sa.inspect(reading).has_table(table.name):
        return
    rows = [*map(dict, reading.execute(sa.select(table)).mappings())]
    table.create(writing, checkfirst=True)
    writing.execute(sa.delete(table))
    if rows:
        writing.execute(sa.insert(table), rows)


def check_ledger(source_url: str, target_url: str) -> None:
    """Raise an error unless the target ledger is a prefix of the source.

    Raises:
        UsageError: it is not.
        DependencyError: a database does not answer.
    """
    source = Database(source_url, _TIMEOUT_SECONDS)
    target = Database(target_url, _TIMEOUT_SECONDS)
    with source.reading() as reading, target.reading() as writing:
        _last_common(reading, writing)


def _last_common(reading: sa.Connection, writing: sa.Connection) -> int:
    """The number of the target's last row, which is the source's, too."""
    query = sa.select(EVENTS.c.number, EVENTS.c.link).order_by(EVENTS.c.number.desc())
    last = writing.execute(query.limit(1)).one_or_none()
    if last is None:
        return 0
    same = reading.execute(query.where(EVENTS.c.number == last.number)).one_or_none()
    if same != last:
        raise UsageError(
            f"The database {writing.engine.url.render_as_string()} has a ledger of "
            "its own.",
            "Name an empty database.",
        )
    return int(last.number)


def _advance_sequences(connection: sa.Connection, tables: Iterable[sa.Table]) -> None:
    """Set PostgreSQL's sequences to the next free id; SQLite needs no such step."""
    if connection.dialect.name != "postgresql":
        return
    quote = connection.dialect.identifier_preparer.quote
    for table in tables:
        if (column := table.autoincrement_column) is not None:
            newest = sa.select(sa.func.coalesce(sa.func.max(column), 0) + 1)
            sequence = sa.func.pg_get_serial_sequence(quote(table.name), column.name)
            following = sa.func.setval(sequence, newest.scalar_subquery(), False)
            connection.execute(sa.select(following))


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
            _advance_sequences(copy, ours.sorted_tables)
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
