"""Rows that were copied with their numbers, and the numbers that new rows get."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa


def advance_sequences(connection: sa.Connection, tables: Iterable[sa.Table]) -> None:
    """Have PostgreSQL number new rows after the ones that are there.

    SQLite does so by itself.
    """
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
