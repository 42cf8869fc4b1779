"""PostgreSQL's sequences, after rows were copied together with their ids."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa


def advance_sequences(connection: sa.Connection, tables: Iterable[sa.Table]) -> None:
    """Set PostgreSQL's sequences to the next free id; SQLite needs no such step."""
    if connection.dialect.name != "postgresql":
        return
    quote = connection.dialect.identifier_preparer.quote
    for table in tables:
        column = table.autoincrement_column
        if column is not None:
            newest = sa.select(sa.func.coalesce(sa.func.max(column), 0) + 1)
            sequence = sa.func.pg_get_serial_sequence(quote(table.name), column.name)
            following = sa.func.setval(sequence, newest.scalar_subquery(), False)
            connection.execute(sa.select(following))
