"""The hash chain of the ledger: each link is a digest of a row and the previous link.

A row that is changed, removed, inserted or reordered no longer matches its link. Anyone
who can write to the database can also recompute the chain. An external copy of the last
link detects that too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from headrace.state.ledger import tables
from headrace.state.ledger.signatures import sign_link
from headrace.state.signing.keys import SigningKey

Row = Mapping[str, Any]

_BATCH = 10_000
_UNREADABLE = (TypeError, ValueError, sa.exc.OperationalError)  # not JSON, not UTF-8


@dataclass(frozen=True, slots=True)
class ChainReport:
    """The result of checking the chain.

    Attributes:
        rows: number of rows in the chain.
        head: the last link; empty if there is no row.
        problem: the first mismatch; empty if there is none.
    """

    rows: int
    head: str
    problem: str = ""


class Appender:
    """Adds rows and their links, in one transaction that holds the ledger's lock.

    Args:
        connection: of that transaction.
        key: signs each link, if there is one.
    """

    def __init__(
        self, connection: sa.Connection, key: SigningKey | None = None
    ) -> None:
        self.connection = connection
        self._key = key
        newest = sa.select(tables.CHAIN.c.number, tables.CHAIN.c.link)
        newest = newest.order_by(tables.CHAIN.c.number.desc()).limit(1)
        row = connection.execute(newest).one_or_none()
        self._number: int = row.number if row else 0
        self._link: str = row.link if row else ""

    def add(self, table: sa.Table, values: Row) -> dict[str, Any]:
        """Add a row and its link; raises SQLAlchemy's IntegrityError if it exists."""
        statement = sa.insert(table).values(**values).returning(table)
        row = dict(self.connection.execute(statement).mappings().one())
        self.chain(table, row)
        return row

    def chain(self, table: sa.Table, row: Row) -> None:
        """Add the link of an existing row."""
        self._number += 1
        entry = {
            "number": self._number,
            "table": table.name,
            "row": row_key(table, row),
            "digest": row_digest(row),
        }
        self._link = link_of(self._link, entry)
        link = sa.insert(tables.CHAIN).values(**entry, link=self._link)
        self.connection.execute(link)
        if self._key is not None:
            signed = sign_link(self._number, self._link, self._key)
            self.connection.execute(sa.insert(tables.SIGNATURES).values(**signed))


def row_key(table: sa.Table, row: Row) -> str:
    """The unique key of a row in its table, as JSON."""
    return json.dumps([row[name] for name in tables.unique_columns(table)[0]])


def row_digest(row: Row) -> str:
    """sha256 over the row's values by the sorted names of their columns, as JSON."""
    text = json.dumps(dict(row), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def link_of(before: str, entry: Row) -> str:
    """The link of an entry of the chain after the link ``before``."""
    values = [entry[name] for name in ("number", "table", "row", "digest")]
    return hashlib.sha256(json.dumps([before, *values]).encode()).hexdigest()


def walk(
    connection: sa.Connection, wanted: str = "", since: ChainReport | None = None
) -> ChainReport:
    """Check the chain from its first link to its last, and every row.

    Args:
        connection: to the ledger's database.
        wanted: an earlier last link that the chain must still contain, or empty.
        since: of an earlier check that found nothing. Then only what was added since
            is read, and decisions; another chain up to there is noticed.
    """
    if since is not None:
        return _walk_on(connection, since)
    number, link, problem = 0, "", ""
    has_wanted = not wanted
    rows = {table.name: digests_of(connection, table) for table in tables.CHAINED}
    links = connection.execution_options(yield_per=_BATCH).execute(
        sa.select(tables.CHAIN).order_by(tables.CHAIN.c.number)
    )
    for entry in links.mappings():
        number += 1
        problem = problem or _problem(dict(entry), number, link, rows)
        link = entry["link"]
        has_wanted = has_wanted or link == wanted
        rows.get(entry["table"], {}).pop(entry["row"], None)
    for name, unlinked in rows.items():
        for key in unlinked:
            problem = problem or f"the row {key} of {name} is in no link of the chain"
    if not has_wanted and not problem:
        problem = f"the link {wanted} is gone: the chain was cut off or recomputed"
    missing = tables.missing_triggers(connection, [*tables.CHAINED, tables.CHAIN])
    if missing:  # a row can only be changed after its trigger was dropped
        gone = f"the trigger {missing[0]} is gone or changed"
        problem = f"{problem}; {gone}" if problem else gone
    return ChainReport(number, link, problem)


def _walk_on(connection: sa.Connection, since: ChainReport) -> ChainReport:
    number, link, problem = since.rows, since.head, glance(connection)
    chain = tables.CHAIN
    query = sa.select(chain).where(chain.c.number >= number).order_by(chain.c.number)
    links = [*map(dict, connection.execute(query).mappings())]
    if number and [entry["link"] for entry in links[:1]] != [link]:
        problem = f"the link {link} is gone: the chain was cut off or recomputed"
    for entry in links[1:] if number else links:
        number += 1
        table = tables.METADATA.tables.get(entry["table"])
        row = None if table is None else row_of(connection, table, entry["row"])
        digests = {} if row is None else {entry["row"]: row_digest(row)}
        rows = {entry["table"]: digests}
        problem = problem or _problem(entry, number, link, rows)
        link = entry["link"]
    missing = tables.missing_triggers(connection, [*tables.CHAINED, tables.CHAIN])
    if missing and not problem:
        problem = f"the trigger {missing[0]} is gone or changed"
    return ChainReport(number, link, problem)


def row_of(connection: sa.Connection, table: sa.Table, key: str) -> Row | None:
    """The row with a unique key; None if there is none."""
    names = tables.unique_columns(table)[0]
    own = [table.c[n] == v for n, v in zip(names, json.loads(key), strict=True)]
    row = connection.execute(sa.select(table).where(*own)).mappings().one_or_none()
    return None if row is None else dict(row)


def glance(connection: sa.Connection) -> str:
    """The first mismatch among decisions and what they rest on; empty if all fits.

    Each row is compared with its link, and each link with the one before. Unlike
    `walk`, it does not read what else is in the chain.
    """
    rows = {table.name: digests_of(connection, table) for table in tables.DECIDING}
    chain, before = tables.CHAIN, tables.CHAIN.alias()
    query = sa.select(chain, before.c.link.label("before")).outerjoin(
        before, before.c.number == chain.c.number - 1
    )
    query = query.where(chain.c.table.in_([*rows])).order_by(chain.c.number)
    for link in connection.execute(query).mappings():
        if problem := _problem(dict(link), link["number"], link["before"] or "", rows):
            return problem
        rows[link["table"]].pop(link["row"], None)
    for name, unlinked in rows.items():
        for key in unlinked:
            return f"the row {key} of {name} is in no link of the chain"
    missing = tables.missing_triggers(connection, tables.DECIDING)
    return f"the trigger {missing[0]} is gone or changed" if missing else ""


def digests_of(connection: sa.Connection, table: sa.Table) -> dict[str, str]:
    """The current digest of every row of a table, by its key."""
    try:
        rows = list(map(dict, connection.execute(sa.select(table)).mappings()))
        return {row_key(table, row): row_digest(row) for row in rows}
    except _UNREADABLE:
        return _digests_one_by_one(connection, table)


def _digests_one_by_one(connection: sa.Connection, table: sa.Table) -> dict[str, str]:
    """As `digests_of`; the digest of a row that cannot be read is ``unreadable``."""
    columns = [table.c[name] for name in tables.unique_columns(table)[0]]
    digests = {}
    for key in connection.execute(sa.select(*columns)).mappings().all():
        same_key = [table.c[name] == value for name, value in key.items()]
        query = sa.select(table).where(*same_key)
        try:
            digest = row_digest(dict(connection.execute(query).mappings().one()))
        except _UNREADABLE:
            digest = "unreadable"
        digests[row_key(table, dict(key))] = digest
    return digests


def _problem(
    entry: Row, number: int, before: str, rows: Mapping[str, Mapping[str, str]]
) -> str:
    """The mismatch of a link; empty if there is none."""
    if entry["number"] != number:
        return f"link {number} of the chain is gone"
    table, key = entry["table"], entry["row"]
    where = f"the row {key} of {table} (link {number})"
    if entry["link"] != link_of(before, entry):
        return f"link {number} of the chain does not follow from the previous link"
    digest = rows.get(table, {}).get(key)
    if digest is None:
        return f"{where} was removed"
    if digest != entry["digest"]:
        return f"{where} was changed"
    return ""
