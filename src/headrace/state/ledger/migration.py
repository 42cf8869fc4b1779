"""Migration of a ledger of format 1, which has no chain and fewer columns."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from headrace.state.ledger.chain import Appender
from headrace.state.ledger.rows import Adoption
from headrace.state.ledger.tables import (
    ADOPTIONS,
    CHAINED,
    FORMAT,
    MARKER,
    METADATA,
    add_triggers,
    unique_columns,
)

_LISTS = {"overrides"}  # JSON columns whose empty value is a list


def adopt_rows(connection: sa.Connection, who: str) -> int:
    """Migrate the tables to this format, and add their rows to the chain.

    Args:
        connection: of a transaction that holds the ledger's lock.
        who: the user who is recorded with the migration.

    Returns:
        the number of migrated rows.
    """
    present = set(sa.inspect(connection).get_table_names())
    earlier = [table for table in CHAINED if table.name in present]
    for table in earlier:
        _add_columns(connection, table)
        add_triggers(connection, table)
    METADATA.create_all(connection)
    rows = Appender(connection)
    count = 0
    for table in earlier:
        order = [table.c[name] for name in unique_columns(table)[0]]
        for row in connection.execute(sa.select(table).order_by(*order)).mappings():
            rows.chain(table, dict(row))
            count += 1
    adoption = Adoption(what="ledger", count=count, who=who)
    rows.add(ADOPTIONS, adoption.model_dump())
    MARKER.drop(connection)  # an older release must not add rows without links
    MARKER.create(connection)
    connection.execute(sa.insert(MARKER).values(format=FORMAT))
    return count


def _add_columns(connection: sa.Connection, table: sa.Table) -> None:
    inspected = sa.inspect(connection).get_columns(table.name)
    present = {column["name"] for column in inspected}
    quote = connection.dialect.identifier_preparer.quote
    for column in table.columns:
        if column.name not in present:
            kind = column.type.compile(connection.dialect)
            text = f"ALTER TABLE {quote(table.name)} ADD COLUMN "
            text += f"{quote(column.name)} {kind}{_default(column, connection)}"
            connection.exec_driver_sql(text)


def _default(column: sa.Column[Any], connection: sa.Connection) -> str:
    if column.nullable:
        return ""
    if isinstance(column.type, sa.JSON):
        value = "'[]'" if column.name in _LISTS else "'{}'"
    elif isinstance(column.type, sa.Boolean):
        value = "0" if connection.dialect.name == "sqlite" else "false"
    else:
        value = "0" if isinstance(column.type, sa.Integer) else "''"
    return f" NOT NULL DEFAULT {value}"
