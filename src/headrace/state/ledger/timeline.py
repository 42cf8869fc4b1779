"""All decisions about a model, in the order in which they were added.

The hash chain has the order. Timestamps do not, since a clock may be set back.
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
    """Promotions, rollbacks, approvals and bindings, oldest first."""
    decisions: list[tuple[int, Decision]] = []
    for table, kind in _KINDS.items():
        rows = database.rows(sa.select(table).where(table.c.model == model))
        links = database.rows(sa.select(CHAIN).where(CHAIN.c.table == table.name))
        numbers = {link["row"]: link["number"] for link in links}
        for row in rows:
            values = {name: row[name] for name in kind.model_fields}
            decisions.append((numbers.get(row_key(table, row), 0), kind(**values)))
    return [decision for _, decision in sorted(decisions, key=lambda pair: pair[0])]
