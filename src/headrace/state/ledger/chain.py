"""Adding rows to the chain of the ledger, and checking it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa

from headrace.state.ledger.events import (
    EVENTS,
    Event,
    Key,
    Row,
    digest_of,
    link_of,
    name_of,
)

E = TypeVar("E", bound=Event)

_BATCH = 1000
# Of what is not JSON or not UTF-8, or is nested without end.
_UNREADABLE = (TypeError, ValueError, RecursionError, sa.exc.OperationalError)
_NO_ROW = 0


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
    """Adds rows at the end, in one transaction that holds the ledger's lock.

    Args:
        connection: of that transaction.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection
        newest = sa.select(EVENTS.c.number, EVENTS.c.link)
        newest = newest.order_by(EVENTS.c.number.desc()).limit(1)
        row = connection.execute(newest).one_or_none()
        self._number: int = row.number if row else 0
        self._link: str = row.link if row else ""

    def add(self, event: E) -> E:
        """Add an event, and return it with its number.

        Raises:
            sqlalchemy.exc.IntegrityError: there is such a row, or what it rests on is
                not there.
        """
        row = event.values()
        row["step"] = row["step"] or self._next_step(row)
        basis = event.rests_on
        row["rests_on"] = None if basis is None else self._number_of(basis)
        row |= {"number": self._number + 1, "digest": digest_of(row)}
        row["link"] = link_of(self._link, row)
        self.connection.execute(sa.insert(EVENTS), row)
        self._number, self._link = row["number"], row["link"]
        return type(event).of(row)

    def _next_step(self, row: Row) -> int:
        names = ("kind", "model", "subject")
        last = sa.select(sa.func.max(EVENTS.c.step))
        last = last.where(*(EVENTS.c[name] == row[name] for name in names))
        return int(self.connection.execute(last).scalar() or 0) + 1

    def _number_of(self, key: Key) -> int:
        own = [EVENTS.c[name] == value for name, value in key._asdict().items()]
        number = self.connection.execute(sa.select(EVENTS.c.number).where(*own))
        return number.scalar() or _NO_ROW


def read(connection: sa.Connection) -> Iterator[dict[str, Any]]:
    """All rows; of one that cannot be read only the number."""
    number, after = EVENTS.c.number, 0
    query = sa.select(EVENTS).order_by(number)
    stream = connection.execution_options(yield_per=_BATCH)
    try:
        for row in stream.execute(query).mappings():
            yield dict(row)
            after = row["number"]
    except _UNREADABLE:
        numbers = sa.select(number).where(number > after).order_by(number)
        for one in connection.execute(numbers).scalars().all():
            try:
                row = connection.execute(query.where(number == one)).mappings().one()
                yield dict(row)
            except _UNREADABLE:
                yield dict.fromkeys(EVENTS.c.keys(), "") | {"number": one}


def walk(connection: sa.Connection, wanted: Collection[str] = ()) -> ChainReport:
    """Check every row, from the first to the last.

    Args:
        connection: to the ledger's database.
        wanted: earlier last links that the chain must still contain.
    """
    number, link, problem, missing = 0, "", "", {*wanted}
    for row in read(connection):
        number += 1
        problem = problem or find_problem(row, number, link)
        link = row["link"]
        missing.discard(link)
    if missing and not problem:
        gone = min(missing)
        problem = f"the link {gone} is gone: the chain was cut off or recomputed"
    return ChainReport(number, link, problem)


def find_problem(row: Row, number: int, before: str) -> str:
    """Why a row is not the one with a number after a link; empty if it is."""
    if row["number"] != number:
        return f"the row {number} is gone"
    if row["kind"] == "" or digest_of(row) != row["digest"]:
        return f"the {name_of(row)} was changed"
    if row["link"] != link_of(before, row):
        return f"the {name_of(row)} does not follow from the row before"
    return ""
