"""Adding rows to the chain of the ledger, and walking it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from headrace.state.ledger.records import Row, as_json
from headrace.state.ledger.schema import CHAIN, as_text

_BATCH = 1000


@dataclass(frozen=True, slots=True)
class ChainReport:
    """The result of walking the chain.

    Attributes:
        rows: number of rows in the chain.
        head: the last link; empty if there is no row.
        problem: the first mismatch; empty if there is none.
    """

    rows: int
    head: str
    problem: str = ""


def last_of(connection: sa.Connection) -> tuple[int, str]:
    """The number and the link of the last row; 0 and an empty text without rows."""
    last = sa.select(CHAIN.c.number, CHAIN.c.link).order_by(CHAIN.c.number.desc())
    row = connection.execute(last.limit(1)).one_or_none()
    return (row.number, row.link) if row else (0, "")


def last_sequence(connection: sa.Connection, kind: type[Row], model: str) -> int:
    """The last sequence of the rows of one kind in a model; 0 without such rows."""
    own = CHAIN.c.kind == kind.KIND, CHAIN.c.model == model
    last = sa.select(sa.func.max(CHAIN.c.sequence)).where(*own)
    return int(connection.execute(last).scalar() or 0)


def append(connection: sa.Connection, row: Row, sequence: int, version: int) -> None:
    """Add a row at the end, in a transaction that holds the ledger's lock.

    Args:
        connection: of that transaction.
        row: what it says.
        sequence: its number among the rows of its kind in its model.
        version: which it is about.
    """
    number, link = last_of(connection)
    body = as_json(row)
    values: list[Any] = [number + 1, row.KIND, row.model, sequence, version]
    link = _link_of(link, [*values, as_text(body)])
    named = dict(zip(CHAIN.c.keys(), [*values, link, body], strict=True))
    connection.execute(sa.insert(CHAIN), named)


def walk(connection: sa.Connection, wanted: Collection[str] = ()) -> ChainReport:
    """Check every row, from the first to the last.

    Args:
        connection: to the ledger's database.
        wanted: earlier last links that the chain must still contain.
    """
    values: list[sa.ColumnElement[Any]] = [*CHAIN.c]
    values[-2:] = [sa.cast(CHAIN.c.body, sa.Text), CHAIN.c.link]
    query = sa.select(*values).order_by(CHAIN.c.number)
    number, before, problem, missing = 0, "", "", {*wanted}
    stream = connection.execution_options(yield_per=_BATCH)
    for *row, link in stream.execute(query):
        number += 1
        if not problem and row[0] != number:
            problem = f"the row {number} is gone"
        if not problem and link != _link_of(before, row):
            problem = f"the row {number} ({_name_of(row)}) was changed"
        before = link
        missing.discard(link)
    if missing and not problem:
        gone = min(missing)
        problem = f"the link {gone} is gone: the chain was cut off or recomputed"
    return ChainReport(number, before, problem)


def _link_of(before: str, row: Sequence[Any]) -> str:
    """sha256 over the link before, and what a row says."""
    # SQLite takes values of any type; no row of ours has one that JSON lacks.
    text = as_text([before, *(v if isinstance(v, int) else str(v) for v in row)])
    return hashlib.sha256(text.encode()).hexdigest()


def _name_of(row: Sequence[Any]) -> str:
    _, kind, model, sequence, *_ = row
    return f"{kind} {model}/{sequence}"
