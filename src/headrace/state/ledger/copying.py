"""Copying a ledger to another database, with its chain.

Rows are appended in the order of the chain, so copying is idempotent and an
interrupted copy is continued.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from headrace.errors import UsageError
from headrace.state.ledger.chain import row_key
from headrace.state.ledger.database import Database
from headrace.state.ledger.tables import CHAIN, CHAINED, METADATA

_TIMEOUT_SECONDS = 10.0


def copy_ledger(source_url: str, target_url: str) -> None:
    """Append the missing rows to the target ledger, in one transaction.

    Raises:
        UsageError: the target is not a prefix of the source.
        DependencyError: a database does not answer, or is locked.
    """
    source = Database(source_url, _TIMEOUT_SECONDS)
    target = Database(target_url, _TIMEOUT_SECONDS)
    with source.writing() as reading, target.writing() as writing:
        source.lock(reading)  # so that no row is added meanwhile
        target.lock(writing)
        links = _missing_links(reading, writing)
        rows = {
            (table.name, row_key(table, row)): row
            for table in CHAINED
            for row in map(dict, reading.execute(sa.select(table)).mappings())
        }
        for name, group in itertools.groupby(links, lambda link: str(link["table"])):
            values = [rows[name, link["row"]] for link in group]
            writing.execute(sa.insert(METADATA.tables[name]), values)
        if links:
            writing.execute(sa.insert(CHAIN), list(links))
        advance_sequences(writing, CHAINED)


def check_ledger(source_url: str, target_url: str) -> None:
    """Raise an error unless the target ledger is a prefix of the source.

    Raises:
        UsageError: it is not.
        DependencyError: a database does not answer.
    """
    source = Database(source_url, _TIMEOUT_SECONDS)
    target = Database(target_url, _TIMEOUT_SECONDS)
    with source.reading() as reading, target.reading() as writing:
        _missing_links(reading, writing)


def _missing_links(
    reading: sa.Connection, writing: sa.Connection
) -> Sequence[Mapping[str, Any]]:
    query = sa.select(CHAIN).order_by(CHAIN.c.number)
    links, present = (
        list(map(dict, connection.execute(query).mappings()))
        for connection in (reading, writing)
    )
    if links[: len(present)] != present:
        raise UsageError(
            f"The database {writing.engine.url.render_as_string()} has a ledger of "
            "its own.",
            "Name an empty database.",
        )
    return links[len(present) :]


def advance_sequences(connection: sa.Connection, tables: Iterable[sa.Table]) -> None:
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
