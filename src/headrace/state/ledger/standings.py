"""How every model stands, in a few queries however many models there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from headrace.records import DEFAULT_TASK
from headrace.state.ledger import Approval, Entry, Evidence, Ledger, Version
from headrace.state.ledger.events import EVENTS, Event

_AT_ONCE = 1000  # numbers in one query


class Standing(NamedTuple):
    """How one model stands.

    Attributes:
        versions: how many it has.
        newest: when the one with the highest number was registered.
        champion: the number of the version in production; None if there is none.
        since: when it was promoted, or a rollback went back to it.
        task: of that version.
        metrics: of the evidence that it stands on; None without evidence.
        waiting: the requests for approval that nobody has answered.
    """

    versions: int
    newest: str
    champion: int | None = None
    since: str | None = None
    task: str = DEFAULT_TASK
    metrics: Mapping[str, float | None] | None = None
    waiting: tuple[Approval, ...] = ()


class Score(NamedTuple):
    """A metric of one version, and whether it ever was the champion."""

    version: int
    value: float
    was_champion: bool


class _Entry(NamedTuple):
    action: str
    to_version: int
    evidence_id: int | None
    when: str


class _Evidence(NamedTuple):
    id: int
    metrics: Mapping[str, float | None]
    overrides: Sequence[str]


class Standings(Ledger):
    """The ledger, and how all of its models stand."""

    def all(self) -> dict[str, Standing]:
        """Every model that has a version, by name.

        Raises:
            IntegrityError: the row of a champion is gone.
        """
        with self.reading_once():
            numbers, entries = self._versions_by_model(), self._entries()
            champions = {
                model: self._row_of(model, own[-1].to_version, numbers)
                for model, own in entries.items()
            }
            newest = {model: own[max(own)] for model, own in numbers.items()}
            facts = self._facts({*newest.values(), *champions.values()})
            evidence = self._evidence({*champions.values()})
            asked = {*self._rows(self._of(Approval, EVENTS.c.model).distinct())}
            return {
                model: Standing(
                    versions=len(own),
                    newest=facts[newest[model]][0],
                    waiting=tuple(self.waiting(model)) if (model,) in asked else (),
                    **(
                        _champion(entries[model], facts[row][1], evidence.get(row, ()))
                        if (row := champions.get(model))
                        else {}
                    ),
                )
                for model, own in sorted(numbers.items())
            }

    def scores(self, model: str, metric: str, most: int) -> list[Score]:
        """A metric of the newest versions that have it, the first version first.

        Experiments count where they were promoted.

        Args:
            model: its name.
            metric: a name of a metric of its evidence.
            most: how many versions.
        """
        own = EVENTS.c.model == model
        to, evidence, of = (
            EVENTS.c.body[name].as_integer()
            for name in ("to_version", "evidence_id", "version")
        )
        is_promotion = EVENTS.c.body["action"].as_string() == "promote"
        promotions = self._of(Entry, evidence, to).where(own, is_promotion)
        promoted = dict(self._rows(promotions))
        metric_of = EVENTS.c.body["metrics", metric].as_float()
        columns = EVENTS.c.step, of, metric_of, EVENTS.c.body["overrides"]
        newest = self._of(Evidence, *columns).where(own).order_by(EVENTS.c.step.desc())
        standing: dict[int, tuple[tuple[bool, int], float]] = {}
        for number, version, value, overrides in self._rows(newest.limit(4 * most)):
            rank = number in promoted, number
            if value is None or (overrides and number not in promoted):
                continue
            if version not in standing or standing[version][0] < rank:
                standing[version] = rank, value
        champions = set(promoted.values())
        return [
            Score(version, value, version in champions)
            for version, (_, value) in sorted(standing.items())[-most:]
        ]

    def _versions_by_model(self) -> dict[str, dict[int, int]]:
        """Of each model, the rows of its versions by their numbers."""
        query = self._of(Version, EVENTS.c.model, EVENTS.c.subject, EVENTS.c.number)
        numbers: dict[str, dict[int, int]] = {}
        for model, version, number in self._rows(query):
            numbers.setdefault(model, {})[int(version)] = number
        return numbers

    def _row_of(
        self, model: str, champion: int, numbers: Mapping[str, Mapping[int, int]]
    ) -> int:
        number = numbers.get(model, {}).get(champion)
        if number is None:
            what = f"version {champion} of {model}, the champion, is gone"
            raise self._database.damaged(what)
        return number

    def _entries(self) -> dict[str, list[_Entry]]:
        action, when = (EVENTS.c.body[n].as_string() for n in ("action", "when"))
        names = ("to_version", "evidence_id")
        to, evidence = (EVENTS.c.body[name].as_integer() for name in names)
        query = self._of(Entry, EVENTS.c.model, action, to, evidence, when)
        entries: dict[str, list[_Entry]] = {}
        for model, *values in self._rows(query.order_by(EVENTS.c.step)):
            entries.setdefault(model, []).append(_Entry(*values))
        return entries

    def _facts(self, numbers: Iterable[int]) -> dict[int, tuple[str, str]]:
        """When some versions were registered, and their tasks, by their rows."""
        created = EVENTS.c.body["created"].as_string()
        task = EVENTS.c.body["details", "description", "task"].as_string()
        rows = self._numbered(numbers, EVENTS.c.number, created, task)
        return {number: (when, task or DEFAULT_TASK) for number, when, task in rows}

    def _evidence(self, champions: set[int]) -> dict[int, list[_Evidence]]:
        """All evidence on the champions, by their rows."""
        every = self._rows(self._of(Evidence, EVENTS.c.number, EVENTS.c.rests_on))
        wanted = [number for number, basis in every if basis in champions]
        columns = EVENTS.c.rests_on, EVENTS.c.step
        fields = (EVENTS.c.body[name] for name in ("metrics", "overrides"))
        evidence: dict[int, list[_Evidence]] = {}
        for basis, *values in self._numbered(wanted, *columns, *fields):
            evidence.setdefault(basis, []).append(_Evidence(*values))
        return evidence

    def _of(self, kind: type[Event], *columns: Any) -> sa.Select[Any]:
        return sa.select(*columns).where(EVENTS.c.kind == kind.KIND)

    def _rows(self, query: sa.Select[Any]) -> list[tuple[Any, ...]]:
        with self._database.reading() as connection:
            return [tuple(row) for row in connection.execute(query)]

    def _numbered(self, numbers: Iterable[int], *columns: Any) -> list[tuple[Any, ...]]:
        """Columns of the rows with some numbers."""
        wanted, rows = sorted(numbers), list[tuple[Any, ...]]()
        for start in range(0, len(wanted), _AT_ONCE):
            some = EVENTS.c.number.in_(wanted[start : start + _AT_ONCE])
            rows += self._rows(sa.select(*columns).where(some))
        return rows


def _champion(
    entries: Sequence[_Entry], task: str, evidence: Iterable[_Evidence]
) -> dict[str, Any]:
    """The champion of a model; its evidence is that of `former.standing_evidence`."""
    last = entries[-1]
    promoted = {
        entry.evidence_id
        for entry in entries
        if entry.action == "promote" and entry.to_version == last.to_version
    }
    standing = max(
        evidence,
        key=lambda one: (one.id in promoted, not one.overrides, one.id),
        default=None,
    )
    return {
        "champion": last.to_version,
        "since": last.when,
        "task": task,
        "metrics": standing.metrics if standing else None,
    }
