"""How every model stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa

from headrace.records import DEFAULT_TASK
from headrace.state.ledger import Approval, Entry, Evidence, Ledger, Version
from headrace.state.ledger.records import Row
from headrace.state.ledger.schema import CHAIN


class Standing(NamedTuple):
    """How one model stands.

    Attributes:
        versions: how many it has.
        newest: when the one with the highest number was registered.
        champion: the number of the version in production; None if there is none.
        since: when it was promoted, or a rollback went back to it.
        task: of that version.
        metrics: of the evidence that it was last promoted on; None without evidence.
        waiting: the requests for approval that nobody has answered.
    """

    versions: int
    newest: str
    champion: int | None = None
    since: str | None = None
    task: str = DEFAULT_TASK
    metrics: Mapping[str, float | None] | None = None
    waiting: tuple[Approval, ...] = ()


def standings(ledger: Ledger) -> dict[str, Standing]:
    """Every model that has a version, by name, in a few queries for all of them.

    Raises:
        IntegrityError: the row of a champion is gone.
    """
    body, model = CHAIN.c.body, CHAIN.c.model
    task = body["details", "description", "task"].as_string()
    created, when = (body[name].as_string() for name in ("created", "when"))
    champions = _of(Entry, model, CHAIN.c.version).where(_is_last(Entry))
    is_newest = _of(Version, model, created).where(_is_last(Version))
    with ledger.database.reading_once(), ledger.database.reading() as one:
        versions = _values(one, _of(Version, model, sa.func.count()).group_by(model))
        newest = dict(_values(one, is_newest))
        entries = _values(one, champions.add_columns(when))
        is_its = sa.tuple_(model, CHAIN.c.sequence).in_(champions)
        tasks = dict(_values(one, _of(Version, model, task).where(is_its)))
        evidence = _of_champions(one, sa.tuple_(model, CHAIN.c.version).in_(champions))
        asked = {name for (name,) in _values(one, _of(Approval, model).distinct())}
        waiting = {name: tuple(ledger.waiting(name)) for name in asked}
    for name, number, _ in entries:
        if name not in tasks:
            what = f"version {number} of {name}, the champion, is gone"
            raise ledger.database.damaged(what)
    found = {
        name: Standing(count, newest[name], waiting=waiting.get(name, ()))
        for name, count in sorted(versions)
    }
    for name, number, since in entries:
        found[name] = found[name]._replace(
            champion=number,
            since=since,
            task=tasks[name] or DEFAULT_TASK,
            metrics=evidence.get(name),
        )
    return found


def _of_champions(
    connection: sa.Connection, of_champion: sa.ColumnElement[bool]
) -> dict[str, Mapping[str, float | None]]:
    """The metrics of the evidence that each champion was last promoted on."""
    body, model = CHAIN.c.body, CHAIN.c.model
    is_promotion = body["action"].as_string() == "promote"
    number = body["evidence_id"].as_integer()
    promotions = _of(Entry, model, number).where(of_champion, is_promotion)
    is_its = sa.tuple_(model, CHAIN.c.sequence).in_(promotions)
    evidence = _of(Evidence, model, body["metrics"]).where(is_its)
    return dict(_values(connection, evidence.order_by(CHAIN.c.number)))


def _is_last(kind: type[Row]) -> sa.ColumnElement[bool]:
    """That a row of a kind is the last one of its model."""
    last = _of(kind, CHAIN.c.model, sa.func.max(CHAIN.c.sequence))
    place = sa.tuple_(CHAIN.c.model, CHAIN.c.sequence)
    return place.in_(last.group_by(CHAIN.c.model))


def _of(kind: type[Row], *columns: Any) -> sa.Select[Any]:
    return sa.select(*columns).where(CHAIN.c.kind == kind.KIND)


def _values(connection: sa.Connection, query: sa.Select[Any]) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute(query)]
