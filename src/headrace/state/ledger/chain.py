"""Adding rows to the chain of the ledger, and checking it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, TypeVar

import sqlalchemy as sa

from headrace.state.ledger.database import Condition
from headrace.state.ledger.events import (
    EVENTS,
    OF_MODEL,
    SIGNATURES,
    Event,
    Key,
    Row,
    digest_of,
    link_of,
    name_of,
    trigger_problem,
)
from headrace.state.ledger.signatures import sign_link
from headrace.state.signing.keys import SigningKey

E = TypeVar("E", bound=Event)

_BATCH = 1000
# Of what is not JSON or not UTF-8, or is nested without end.
_UNREADABLE = (TypeError, ValueError, RecursionError, sa.exc.OperationalError)
_NO_ROW = 0
_GONE = "the link {} is gone: the chain was cut off or recomputed"
_RESTORED = "; if a backup was restored, run `headrace verify`, which reads every row"
_DIGEST = "anchor"  # of a file: nearly all rows of a long history


@dataclass(frozen=True, slots=True)
class ChainReport:
    """The result of checking the chain.

    Attributes:
        rows: number of rows in the chain.
        head: the last link; empty if there is no row.
        problem: the first mismatch; empty if there is none.
        others: number of rows beside the digests of files.
        models: of each model, a digest over the links of its rows in their order.
    """

    rows: int
    head: str
    problem: str = ""
    others: int = 0
    models: Mapping[str, str] = field(default_factory=dict)


class Appender:
    """Adds rows at the end, in one transaction that holds the ledger's lock.

    Args:
        connection: of that transaction.
        key: signs each link, if there is one.
    """

    def __init__(
        self, connection: sa.Connection, key: SigningKey | None = None
    ) -> None:
        self.connection = connection
        self._key = key
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
        if self._key is not None:
            signed = sign_link(self._number, self._link, self._key)
            self.connection.execute(sa.insert(SIGNATURES).values(**signed))
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


def read(connection: sa.Connection, after: int = 0) -> Iterator[dict[str, Any]]:
    """All rows after a number; of one that cannot be read only the number and kind."""
    number = EVENTS.c.number
    query = sa.select(EVENTS).order_by(number)
    stream = connection.execution_options(yield_per=_BATCH)
    try:
        for row in stream.execute(query.where(number > after)).mappings():
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


def walk(
    connection: sa.Connection, wanted: str = "", since: ChainReport | None = None
) -> ChainReport:
    """Check every row, from the first to the last.

    Args:
        connection: to the ledger's database.
        wanted: an earlier last link that the chain must still contain, or empty.
        since: of an earlier check that found nothing. Then of the digests of files only
            those that were added since are read; another chain up to there is noticed.
    """
    number, link, problem, wanted_is_there = 0, "", "", not wanted
    others, models = 0, dict[str, str]()
    if since is not None and since.rows:
        number, link, others = since.rows, since.head, since.others
        models = dict(since.models)
        own = sa.select(EVENTS.c.link).where(EVENTS.c.number == number)
        if connection.execute(own).scalar() != link:
            return _cut_off(connection, link)
        problem = _find_wrong_other(connection, since)
    for row in read(connection, number):
        number += 1
        problem = problem or find_problem(row, number, link)
        link = row["link"]
        others += row["kind"] != _DIGEST
        if row["kind"] in OF_MODEL:
            models[row["model"]] = _after(models.get(row["model"], ""), link)
        wanted_is_there = wanted_is_there or link == wanted
    if not wanted_is_there and not problem:
        problem = _GONE.format(wanted)
    # A row can only be changed after its trigger was dropped.
    problem = "; ".join(filter(None, (problem, trigger_problem(connection, EVENTS))))
    return ChainReport(number, link, problem, others, models)


def _cut_off(connection: sa.Connection, gone: str) -> ChainReport:
    """The report on a chain without a link that was in it: the rows that it has."""
    newest = sa.select(EVENTS.c.link).order_by(EVENTS.c.number.desc()).limit(1)
    rows = connection.execute(sa.select(sa.func.count()).select_from(EVENTS)).scalar()
    head = connection.execute(newest).scalar() or ""
    found = _GONE.format(gone) + _RESTORED, trigger_problem(connection, EVENTS)
    return ChainReport(rows or 0, head, "; ".join(filter(None, found)))


def find_wrong_row(connection: sa.Connection, model: str, where: Condition) -> str:
    """The first mismatch of some rows of a model; empty if all fit.

    Each is read with the link before it, so that this takes as long as they are many.
    """
    try:
        rows = _rows_of(connection, model, where)
    except _UNREADABLE:
        return walk(connection).problem
    problems = (find_problem(r, r["number"], r["before"] or "") for r in rows)
    return next(filter(None, problems), "")


def _rows_of(connection: sa.Connection, model: str, *where: Condition) -> list[Row]:
    """Rows of a model in their order, each with the link ``before``."""
    before, number = EVENTS.alias(), EVENTS.c.number
    query = sa.select(EVENTS, before.c.link.label("before")).outerjoin(
        before, before.c.number == number - 1
    )
    rows = connection.execute(query.where(EVENTS.c.model == model, *where)).mappings()
    return sorted(map(dict, rows), key=itemgetter("number"))


def _after(digest: str, link: str) -> str:
    """The digest over links with one more."""
    return hashlib.sha256(f"{digest}{link}".encode()).hexdigest()


def _find_wrong_other(
    connection: sa.Connection, since: ChainReport | None = None
) -> str:
    """The first mismatch of rows that are no digests of files.

    A row that was made one is noticed if its model is left, or ``since`` has counted
    it.
    """
    number, kind, before = EVENTS.c.number, EVENTS.c.kind, EVENTS.alias()
    query = sa.select(EVENTS, before.c.link.label("before")).outerjoin(
        before, before.c.number == number - 1
    )
    # Each part is a range of the index of kinds and models.
    has_model = (kind == _DIGEST) & (EVENTS.c.model > "")
    query = query.where((kind < _DIGEST) | (kind > _DIGEST) | has_model)
    last = connection.execute(sa.select(sa.func.max(number))).scalar() or 0
    count = sa.select(sa.func.count()).select_from(EVENTS)
    try:
        rows = [*map(dict, connection.execute(query).mappings())]
        rows.sort(key=itemgetter("number"))  # in SQL it would not use the index
        is_whole = connection.execute(count).scalar() == last
    except _UNREADABLE:
        return walk(connection).problem
    if since is not None:
        earlier = [row for row in rows if row["number"] <= since.rows]
        is_whole &= len(earlier) == since.others
    if not is_whole:
        return walk(connection).problem
    problems = (find_problem(r, r["number"], r["before"] or "") for r in rows)
    return next(filter(None, problems), "")


def find_break(rows: Iterable[Row], number: int, before: str) -> str:
    """The first problem of rows that should begin with a number after a link."""
    for expected, row in enumerate(rows, number):
        if problem := find_problem(row, expected, before):
            return problem
        before = row["link"]
    return ""


def find_problem(row: Row, number: int, before: str) -> str:
    """Why a row is not the one with a number after a link; empty if it is."""
    if row["number"] != number:
        return f"the row {number} is gone"
    if row["kind"] == "" or digest_of(row) != row["digest"]:
        return f"the {name_of(row)} was changed"
    if row["link"] != link_of(before, row):
        return f"the {name_of(row)} does not follow from the row before"
    return ""
