"""What was forgotten: keyed digests, which do not reveal what they stand for.

A tombstone is an HMAC-SHA256 of an item's digest, or of a group's value, under a random
key of this ledger. Who has only the store cannot test a guess; who can read the ledger
can, but cannot list what was forgotten.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import sqlalchemy as sa

from headrace.state.ledger.database import Database
from headrace.state.ledger.rows import utc_now
from headrace.state.ledger.tables import (
    ANCHORS,
    FORGETTINGS,
    FORGOTTEN,
    TOMBSTONES,
)


class Forgetting(NamedTuple):
    """That somebody asked for items to be forgotten; ``kind`` is item or group."""

    id: int
    pipeline: str
    kind: str
    who: str
    when: str
    is_ended: bool


class Forgettings:
    """The tombstones of one ledger."""

    _database: Database

    def tombstones(self) -> tuple[str, frozenset[str]]:
        """The key of the ledger, hex, and its tombstones; empty if there are none."""
        salts = sa.select(FORGETTINGS.c.salt).order_by(FORGETTINGS.c.id).limit(1)
        with self._database.reading() as connection:
            salt = connection.execute(salts).scalar()
            if salt is None:
                return "", frozenset()
            marks = connection.execute(sa.select(TOMBSTONES.c.mark)).scalars()
            return str(salt), frozenset(marks)

    def new_salt(self) -> str:
        """The key of the ledger, or a new one, hex."""
        return self.tombstones()[0] or secrets.token_hex(32)

    def begin_forgetting(
        self, pipeline: str, kind: str, who: str, salt: str, marks: Iterable[str]
    ) -> int:
        """Record a request and its new tombstones; returns its number."""
        with self._database.adding() as rows:
            values = {"pipeline": pipeline, "kind": kind, "who": who, "salt": salt}
            added = rows.add(FORGETTINGS, {**values, "when": utc_now()})
            known = set(rows.connection.execute(sa.select(TOMBSTONES.c.mark)).scalars())
            for mark in sorted({*marks} - known):
                rows.add(TOMBSTONES, {"mark": mark, "forgetting": added["id"]})
            return int(added["id"])

    def end_forgetting(self, numbers: Iterable[int], counts: Mapping[str, int]) -> None:
        """Record that requests were carried out, and how much was deleted."""
        with self._database.adding() as rows:
            for number in numbers:
                values = {"forgetting": number, "counts": dict(counts)}
                rows.add(FORGOTTEN, {**values, "when": utc_now()})

    def forgettings(self) -> list[Forgetting]:
        """All requests, oldest first."""
        ended = {row["forgetting"] for row in self._database.rows(sa.select(FORGOTTEN))}
        names = [name for name in Forgetting._fields if name != "is_ended"]
        query = sa.select(*(FORGETTINGS.c[name] for name in names))
        rows = self._database.rows(query.order_by(FORGETTINGS.c.id))
        return [Forgetting(**row, is_ended=row["id"] in ended) for row in rows]

    def anchored_before(self, key: str) -> set[str]:
        """Every sha256 that a key has had, the present one included."""
        query = sa.select(ANCHORS.c.digest).where(ANCHORS.c.key == key)
        return {row["digest"] for row in self._database.rows(query)} - {""}
