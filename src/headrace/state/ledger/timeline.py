"""Everything that was decided about a model, in the order in which it was added.

The chain knows that order. The times say what the clock said, which may be set back.
"""

from __future__ import annotations

import sqlalchemy as sa

from headrace.state.ledger.bindings import Binding
from headrace.state.ledger.chain import row_key
from headrace.state.ledger.database import Database
from headrace.state.ledger.rows import Approval, Entry
from headrace.state.ledger.tables import APPROVALS, BINDINGS, CHAIN, ENTRIES

Decision = Entry | Approval | Binding
_KINDS: dict[str, tuple[sa.Table, type[Decision]]] = {
    ENTRIES.name: (ENTRIES, Entry),
    APPROVALS.name: (APPROVALS, Approval),
    BINDINGS.name: (BINDINGS, Binding),
}


def timeline(database: Database, model: str) -> list[Decision]:
    """Promotions, rollbacks, approvals and bindings, the first that was added first."""
    found: list[tuple[int, Decision]] = []
    with database.reading() as connection:
        numbers = _numbers(connection)
        for table, kind in _KINDS.values():
            query = sa.select(table).where(table.c.model == model)
            for row in map(dict, connection.execute(query).mappings()):
                number = numbers.get((table.name, row_key(table, row)), 0)
                values = {name: row[name] for name in kind.model_fields}
                found.append((number, kind(**values)))
    return [record for _, record in sorted(found, key=lambda one: one[0])]


def _numbers(connection: sa.Connection) -> dict[tuple[str, str], int]:
    """The number of each row's link in the chain, by its table and key."""
    query = sa.select(CHAIN.c.table, CHAIN.c.row, CHAIN.c.number)
    rows = connection.execute(query.where(CHAIN.c.table.in_(_KINDS)))
    return {(table, key): number for table, key, number in rows}
