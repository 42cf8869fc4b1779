"""The chain over the ledger's rows: each link covers a row and the link before it.

A row that is changed, removed, put in or moved does not fit its link any more. Who
writes the database can also write the chain anew, so a copy of the last link kept
elsewhere says more than the chain alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from headrace.state.ledger.tables import CHAIN, CHAINED
from headrace.state.ledger.triggers import missing_triggers, unique_columns

_BLOCK = 10_000
_DAMAGE = (TypeError, ValueError, sa.exc.OperationalError)  # no JSON, or no text


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What a walk along the chain came to.

    Attributes:
        rows: number of rows that are chained.
        head: the last link; empty where there is no row.
        problem: the first thing that does not fit; empty where all does.
    """

    rows: int
    head: str
    problem: str = ""


class Appender:
    """Adds rows and their links in one transaction that nobody else is in.

    Args:
        connection: of that transaction.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection
        newest = sa.select(CHAIN.c.number, CHAIN.c.link)
        newest = newest.order_by(CHAIN.c.number.desc()).limit(1)
        row = connection.execute(newest).one_or_none()
        self._number: int = row.number if row else 0
        self._link: str = row.link if row else ""

    def add(self, table: sa.Table, values: Mapping[str, Any]) -> dict[str, Any]:
        """Add a row and its link; raises SQLAlchemy's IntegrityError when taken."""
        statement = sa.insert(table).values(**values).returning(table)
        row = dict(self.connection.execute(statement).mappings().one())
        self.chain(table, row)
        return row

    def chain(self, table: sa.Table, row: Mapping[str, Any]) -> None:
        """Add the link of a row that is there."""
        self._number += 1
        key, digest = row_key(table, row), row_digest(row)
        self._link = _link(self._link, self._number, table.name, key, digest)
        self.connection.execute(
            sa.insert(CHAIN).values(
                number=self._number,
                table=table.name,
                row=key,
                digest=digest,
                link=self._link,
            )
        )


def row_key(table: sa.Table, row: Mapping[str, Any]) -> str:
    """What tells a row from all others of its table, as JSON."""
    return json.dumps([row[name] for name in unique_columns(table)[0]])


def row_digest(row: Mapping[str, Any]) -> str:
    """sha256 over the row's values by the sorted names of their columns, as JSON."""
    text = json.dumps(dict(row), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _link(before: str, number: int, table: str, key: str, digest: str) -> str:
    text = json.dumps([before, number, table, key, digest])
    return hashlib.sha256(text.encode()).hexdigest()


def walk(connection: sa.Connection, wanted: str = "") -> ChainReport:
    """Walk the chain from its first link to its last, and look at every row.

    Args:
        connection: to the ledger's database.
        wanted: a link that the chain once ended in, and must still hold; empty: none.
    """
    number, link = 0, ""
    is_there = not wanted
    problem = ""
    rows = {table.name: _digests(connection, table) for table in CHAINED}
    links = connection.execution_options(yield_per=_BLOCK).execute(
        sa.select(CHAIN).order_by(CHAIN.c.number)
    )
    for entry in links.mappings():
        number += 1
        problem = problem or _problem(dict(entry), number, link, rows)
        link = entry["link"]
        is_there = is_there or link == wanted
        rows.get(entry["table"], {}).pop(entry["row"], None)
    for name, left in rows.items():
        for key in left:
            problem = problem or f"the row {key} of {name} is in no link of the chain"
    if not is_there and not problem:
        problem = f"the link {wanted} is gone: the chain was cut off or written anew"
    missing = missing_triggers(connection, [*CHAINED, CHAIN])
    if missing:  # whoever changed a row had to drop one first
        gone = f"the trigger {missing[0]} is gone or changed"
        problem = f"{problem}; {gone}" if problem else gone
    return ChainReport(number, link, problem)


def _digests(connection: sa.Connection, table: sa.Table) -> dict[str, str]:
    """The digest of every row of a table as it is now, by its key."""
    try:
        rows = list(map(dict, connection.execute(sa.select(table)).mappings()))
        return {row_key(table, row): row_digest(row) for row in rows}
    except _DAMAGE:
        return _digests_one_by_one(connection, table)


def _digests_one_by_one(connection: sa.Connection, table: sa.Table) -> dict[str, str]:
    """The same where a row cannot be read, which then has no digest."""
    columns = [table.c[name] for name in unique_columns(table)[0]]
    digests = {}
    for key in connection.execute(sa.select(*columns)).mappings().all():
        is_it = [table.c[name] == value for name, value in key.items()]
        try:
            row = connection.execute(sa.select(table).where(*is_it)).mappings().one()
            digests[row_key(table, dict(key))] = row_digest(dict(row))
        except _DAMAGE:
            digests[row_key(table, dict(key))] = "unreadable"
    return digests


def _problem(
    entry: Mapping[str, Any],
    number: int,
    before: str,
    rows: Mapping[str, Mapping[str, str]],
) -> str:
    """Why a link does not fit; empty where it does."""
    if entry["number"] != number:
        return f"link {number} of the chain is gone"
    where = f"the row {entry['row']} of {entry['table']} (link {number})"
    own = (entry["table"], entry["row"], entry["digest"])
    if entry["link"] != _link(before, number, *own):
        return f"link {number} of the chain does not follow from the one before it"
    digest = rows.get(entry["table"], {}).get(entry["row"])
    if digest is None:
        return f"{where} was removed"
    if digest != entry["digest"]:
        return f"{where} was changed"
    return ""
