"""What was collected: the files and runs that ``headrace gc`` deletes.

A collection is recorded in one transaction before anything is deleted. From then on
its files count for nothing, and the versions in it can no longer be promoted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa

from headrace.errors import HeadraceError, PromotionError
from headrace.records import Record
from headrace.state.ledger.chain import Appender
from headrace.state.ledger.database import Database
from headrace.state.ledger.rows import Version, utc_now
from headrace.state.ledger.tables import (
    ANCHORS,
    APPROVALS,
    BINDINGS,
    COLLECTED,
    COLLECTIONS,
    ENTRIES,
    EVIDENCE,
    VERSIONS,
)

_DECISIONS = (VERSIONS, EVIDENCE, ENTRIES, APPROVALS, BINDINGS)
VERSIONS_KIND = "versions"

R = TypeVar("R", bound=HeadraceError)


class Collected(Record):
    """One thing that was collected.

    Attributes:
        kind: in words, such as ``snapshots``.
        key: where it was: a key of the store, or ``mlflow/runs/ID`` and the like.
        digest: of its content, where one is recorded; else empty.
        bytes: its size; 0 for rows of a database.
    """

    kind: str
    key: str
    digest: str = ""
    bytes: int = 0


class CollectionRow(NamedTuple):
    """One run of ``headrace gc``; ``policy`` says what it was to keep."""

    id: int
    who: str
    when: str
    policy: Mapping[str, Any]


class Outdated(Exception):
    """A version, evidence or decision was added since the collection was planned."""


def version_key(version: Version) -> str:
    """The key of a version's files; other files that it is bound to have another."""
    step = version.details.get("binding", 0)
    return f"{VERSIONS_KIND}/{version.model}/{version.version}/{step}"


class Collections:
    """The collections of one ledger."""

    _database: Database

    def decisions(self) -> tuple[int, ...]:
        """How many versions, evidence, entries, approvals and bindings there are."""
        with self._database.reading() as connection:
            return _decisions(connection)

    def record_collection(
        self,
        items: Sequence[Collected],
        files: Collection[str],
        *,
        who: str,
        policy: Mapping[str, Any],
        decisions: tuple[int, ...],
    ) -> int:
        """Record what will be deleted, and that its files count for nothing.

        Args:
            items: what is collected.
            files: keys of the files whose digest is in the ledger.
            who: the user.
            policy: what was to be kept.
            decisions: as `decisions` returned them before the plan was made.

        Returns:
            the number of the collection.

        Raises:
            Outdated: the ledger has other decisions now. Nothing is recorded.
        """
        with self._database.adding() as rows:
            if _decisions(rows.connection) != decisions:
                raise Outdated
            values = {"who": who, "when": utc_now(), "policy": dict(policy)}
            number = int(rows.add(COLLECTIONS, values)["id"])
            for item in items:
                rows.add(COLLECTED, {**item.model_dump(), "collection": number})
            for key in files:
                invalid = {"key": key, "digest": "", "created": utc_now()}
                rows.add(ANCHORS, invalid)
            return number

    def collections(self) -> list[CollectionRow]:
        """All runs of ``headrace gc``, oldest first."""
        rows = self._database.rows(sa.select(COLLECTIONS).order_by(COLLECTIONS.c.id))
        return [CollectionRow(**row) for row in rows]

    def collected(self) -> dict[str, Collected]:
        """All that was collected, by key."""
        query = sa.select(COLLECTED).order_by(COLLECTED.c.id)
        fields = Collected.model_fields
        rows = self._database.rows(query)
        return {row["key"]: Collected(**{k: row[k] for k in fields}) for row in rows}

    def is_collected(self, version: Version) -> bool:
        """Whether the files that a version is bound to were collected."""
        with self._database.reading() as connection:
            return _is_collected(connection, version)


def refuse_collected(rows: Appender, version: Version) -> None:
    """Raise PromotionError, in the transaction of a promotion, if it is collected."""
    if _is_collected(rows.connection, version):
        raise collected_error(version, PromotionError)


def collected_error(version: Version, kind: type[R]) -> R:
    """The error for a version whose files are gone for good."""
    return kind(
        f"The files of version {version.version} of {version.model} were collected by "
        "`headrace gc`.",
        f"Run `headrace run {version.model}` as it was trained, which makes them anew.",
    )


def _is_collected(connection: sa.Connection, version: Version) -> bool:
    own = COLLECTED.c.key == version_key(version)
    return connection.execute(sa.select(COLLECTED.c.id).where(own)).first() is not None


def _decisions(connection: sa.Connection) -> tuple[int, ...]:
    counts = (sa.select(sa.func.count()).select_from(table) for table in _DECISIONS)
    return tuple(int(connection.execute(count).scalar_one()) for count in counts)
