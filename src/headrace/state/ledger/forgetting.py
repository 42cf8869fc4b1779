"""What was forgotten: keyed digests, which do not reveal what they stand for.

A tombstone is an HMAC-SHA256 of an item's digest, or of a group's value, under a random
key of this ledger. Who has only the store cannot test a guess; who can read the ledger
can, but cannot list what was forgotten.

The store has a copy of the chained rows. So the key is in a table of its own, and the
chain has its sha256, by which another key in its place is noticed.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import sqlalchemy as sa

from headrace.errors import IntegrityError
from headrace.state.ledger.database import Database
from headrace.state.ledger.rows import utc_now
from headrace.state.ledger.tables import (
    ANCHORS,
    FORGETTINGS,
    FORGOTTEN,
    TOMBSTONES,
    columns,
)

KEY = sa.Table("ledger_key", sa.MetaData(), *columns(sa.String, "key"))
_SHA256 = "sha256:"


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

    def key(self) -> str:
        """The secret key of the ledger, 64 hex digits; the first call makes it.

        Raises:
            IntegrityError: it is not the one by which items were forgotten.
        """
        recorded, query = self._recorded_key(), sa.select(KEY.c.key)
        self._database.ensure(KEY.metadata)
        with self._database.reading() as connection:
            key = connection.execute(query).scalar()
        if key is None and not recorded:
            with self._database.locking() as connection:
                key = connection.execute(query).scalar()
                if key is None:
                    key = secrets.token_hex(32)
                    connection.execute(sa.insert(KEY).values(key=key))
        if recorded and (key is None or _sha256(key) != recorded):
            raise IntegrityError(
                f"The key of the ledger {self._database.name} is gone or another one: "
                "what was forgotten could not be recognised.",
                f"Restore the table {KEY.name} from a backup of the ledger.",
            )
        return str(key)

    def _recorded_key(self) -> str:
        salts = sa.select(FORGETTINGS.c.salt).order_by(FORGETTINGS.c.id).limit(1)
        with self._database.reading() as connection:
            return str(connection.execute(salts).scalar() or "")

    def tombstones(self) -> tuple[str, frozenset[str]]:
        """The key of the ledger, hex, and its tombstones; empty if there are none."""
        if not self._recorded_key():
            return "", frozenset()
        rows = self._database.rows(sa.select(TOMBSTONES.c.mark))
        return self.key(), frozenset(row["mark"] for row in rows)

    def begin_forgetting(
        self, pipeline: str, kind: str, who: str, marks: Iterable[str]
    ) -> int:
        """Record a request and its new tombstones; returns its number."""
        salt = _sha256(self.key())
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


def _sha256(key: str) -> str:
    return _SHA256 + hashlib.sha256(bytes.fromhex(key)).hexdigest()
