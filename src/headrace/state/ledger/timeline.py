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
_KINDS: dict[sa.Table, type[Decision]] = {
    ENTRIES: Entry,
    APPROVALS: Approval,
    BINDINGS: Binding,
}


def timeline(database: Database, model: str) -> list[Decision]:
    """Promotions, rollbacks, approvals and bindings, the first that was added first."""
    decisions: list[tuple[int, Decision]] = []
    for table, kind in _KINDS.items():
        rows = database.rows(sa.select(table).where(table.c.model == model))
        links = database.rows(sa.select(CHAIN).where(CHAIN.c.table == table.name))
        numbers = {link["row"]: link["number"] for link in links}
        for row in rows:
            values = {name: row[name] for name in kind.model_fields}
            decisions.append((numbers.get(row_key(table, row), 0), kind(**values)))
    return [record for _, record in sorted(decisions, key=lambda pair: pair[0])]
