"""The ledger's tables: an append-only chain of decisions, and plain tables beside it.

A row of the chain has a link: the digest of its own values and of the link before. So a
row that is changed, removed or inserted by accident no longer fits. The plain tables
have what is true now, without history.
"""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

FORMAT = 9
MOST = 2**31 - 1  # the greatest integer of a column
METADATA = sa.MetaData()


def as_text(value: Any) -> str:
    """JSON as the database has it: the links are over this text."""
    return json.dumps(value, separators=(",", ":"))


def columns(
    kind: type[sa.types.TypeEngine[Any]], *names: str, nullable: bool = False
) -> list[sa.Column[Any]]:
    """Columns of one type."""
    return [sa.Column(name, kind, nullable=nullable) for name in names]


def _key(name: str, kind: type[sa.types.TypeEngine[Any]]) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=True, autoincrement=False)


# Its only row says that the database is a ledger. `identity` names it, whichever URL it
# is reached by; `secret` is the key of the marks of forgotten items, 64 hex digits.
MARKER = sa.Table(
    "ledger_format",
    METADATA,
    _key("format", sa.Integer),
    *columns(sa.String, "identity", "secret"),
)
# `number` counts all rows, and `sequence` those of one kind in one model: of two who
# add the next one, one succeeds. A version has its own number as its sequence.
CHAIN = sa.Table(
    "ledger_chain",
    METADATA,
    _key("number", sa.Integer),
    *columns(sa.String, "kind", "model"),
    *columns(sa.Integer, "sequence", "version"),
    *columns(sa.String, "link"),
    *columns(sa.JSON, "body"),
    sa.UniqueConstraint("kind", "model", "sequence"),
)
FACTS = sa.Table(
    "ledger_facts",
    METADATA,
    _key("name", sa.String),
    *columns(sa.String, "value", "who", "moment"),
)
