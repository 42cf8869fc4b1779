"""What was deleted: by ``headrace gc``, and what was to be forgotten.

A collection is recorded in one transaction before anything is deleted. From then on the
versions in it can no longer be promoted.

Of what was forgotten the ledger has tombstones, which do not reveal what they stand
for: an HMAC-SHA256 of an item's digest, or of a group's value, under the ledger's own
secret. Who has only the store cannot test a guess; who can read the ledger can, but
cannot list what was forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import sqlalchemy as sa

from headrace.errors import DependencyError, HeadraceError
from headrace.records import Record
from headrace.state.ledger.chain import last_of
from headrace.state.ledger.database import Database
from headrace.state.ledger.records import Version, utc_now
from headrace.state.ledger.schema import COLLECTED, FORGETTINGS, MARKER, TOMBSTONES

VERSIONS_KIND = "versions"

R = TypeVar("R", bound=HeadraceError)


class Collected(Record):
    """One thing that was collected.

    Attributes:
        kind: in words, such as ``snapshots``.
        key: where it was: a key of the store, or ``mlflow/runs/ID`` and the like.
        bytes: its size; 0 for rows of a database.
    """

    kind: str
    key: str
    bytes: int = 0


class Forgetting(Record):
    """That somebody asked for items to be forgotten.

    Attributes:
        number: 1, 2, 3 …
        kind: ``item`` or ``group``.
        begun, ended: ISO 8601, UTC; ``ended`` is None until it was carried out.
    """

    number: int
    pipeline: str
    kind: str
    who: str
    begun: str
    ended: str | None = None


def version_key(version: Version) -> str:
    """The key of a version's files."""
    return f"{VERSIONS_KIND}/{version.model}/{version.version}"


def collected_error(version: Version, kind: type[R]) -> R:
    """The error for a version whose files are gone for good."""
    return kind(
        f"Files of version {version.version} of {version.model} were deleted by "
        "`headrace gc` or `headrace forget`.",
        f"Run `headrace run {version.model}`, which registers a new version.",
    )


class Disposals:
    """The collections and the tombstones of a ledger.

    Args:
        database: of the ledger.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def decisions(self) -> int:
        """How many versions, evidence, decisions and approvals there are."""
        with self._database.reading() as connection:
            return last_of(connection)[0]

    def record_collection(
        self,
        items: Iterable[Collected],
        *,
        who: str,
        decisions: int | None = None,
    ) -> int:
        """Record what will be deleted.

        Args:
            items: what is collected.
            who: the user.
            decisions: as `decisions` returned them before the plan was made; None if
                it needs none.

        Returns:
            the number of the collection.

        Raises:
            DependencyError: the ledger has other decisions now. Nothing is recorded.
        """
        with self._database.adding() as connection:
            if decisions not in (None, self.decisions()):
                raise DependencyError(
                    "The ledger was changed while a collection was planned.",
                    "Nothing was deleted. Run `headrace gc` again.",
                    was_retried=True,
                )
            last = sa.select(sa.func.max(COLLECTED.c.collection))
            number = int(connection.execute(last).scalar() or 0) + 1
            own = {"who": who, "moment": utc_now(), "collection": number}
            for item in items:
                again = sa.delete(COLLECTED).where(COLLECTED.c.key == item.key)
                connection.execute(again)
                row = item.model_dump() | own
                connection.execute(sa.insert(COLLECTED).values(**row))
            return number

    def collected(self) -> dict[str, Collected]:
        """All that was collected, by key."""
        names = [COLLECTED.c[name] for name in Collected.model_fields]
        rows = self._database.rows(sa.select(*names))
        return {row["key"]: Collected(**row) for row in rows}

    def is_collected(self, version: Version) -> bool:
        """Whether files of a version were collected or forgotten."""
        own = COLLECTED.c.key == version_key(version)
        return bool(self._database.rows(sa.select(COLLECTED.c.key).where(own)))

    def secret(self) -> str:
        """The secret key of the ledger, 64 hex digits."""
        (row,) = self._database.rows(sa.select(MARKER.c.secret))
        return str(row["secret"])

    def tombstones(self) -> frozenset[str]:
        """The marks of what was to be forgotten."""
        return frozenset(row["mark"] for row in self._database.rows(_MARKS))

    def begin_forgetting(
        self, pipeline: str, kind: str, who: str, marks: Iterable[str]
    ) -> None:
        """Record a request and its new tombstones."""
        with self._database.adding() as connection:
            last = sa.select(sa.func.max(FORGETTINGS.c.number))
            number = int(connection.execute(last).scalar() or 0) + 1
            request = Forgetting(
                number=number, pipeline=pipeline, kind=kind, who=who, begun=utc_now()
            )
            row = request.model_dump()
            connection.execute(sa.insert(FORGETTINGS).values(**row))
            for mark in sorted({*marks} - self.tombstones()):
                connection.execute(sa.insert(TOMBSTONES).values(mark=mark))

    def end_forgetting(self, numbers: Iterable[int]) -> None:
        """Record that requests were carried out."""
        own = FORGETTINGS.c.number.in_([*numbers])
        with self._database.adding() as connection:
            ended = sa.update(FORGETTINGS).where(own).values(ended=utc_now())
            connection.execute(ended)

    def forgettings(self) -> list[Forgetting]:
        """All requests, oldest first."""
        rows = self._database.rows(
            sa.select(FORGETTINGS).order_by(FORGETTINGS.c.number)
        )
        return [Forgetting(**row) for row in rows]

    def open_forgettings(self) -> list[Forgetting]:
        """The requests that were not carried out yet."""
        return [one for one in self.forgettings() if one.ended is None]


_MARKS = sa.select(TOMBSTONES.c.mark)
